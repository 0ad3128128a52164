import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { ChatTemplate } from '../../../src/text/chat-template.ts';
import { expandPlaceholders } from '../../../src/text/image-tokens.ts';
import { JinjaTemplate } from '../../../src/text/jinja.ts';
import { PromptFormat } from '../../../src/text/prompt-format.ts';
import { goldenJson } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const messages = [{ role: 'user', content: 'hi' }] as const;

describe('ChatTemplate', () => {
  it('prefers chat_template.jinja to chat_template.json to tokenizer_config.json', () => {
    using directory = new TemporaryDirectory();
    const rendered = (): string => ChatTemplate.load(directory.path).render(messages);
    assert.throws(rendered, { code: 'CHECKPOINT_INVALID', message: /no chat template in/ });
    const named = [
      { name: 'tools', template: 'T' },
      { name: 'default', template: 'config' },
    ];
    directory.write('tokenizer_config.json', JSON.stringify({ chat_template: named }));
    assert.equal(rendered(), 'config');
    directory.write('chat_template.json', JSON.stringify({ chat_template: 'json' }));
    assert.equal(rendered(), 'json');
    directory.write(
      'chat_template.jinja',
      '{{ messages[0].content }}{% if add_generation_prompt %}!{% endif %}',
    );
    assert.equal(rendered(), 'hi!');
  });

  it('names the file of a template that does not parse', () => {
    using directory = new TemporaryDirectory();
    const path = directory.write('chat_template.jinja', '{% for %}');
    assert.throws(
      () => ChatTemplate.load(directory.path),
      (error: Error) => error.message.startsWith(`${path}: `),
    );
  });
});

describe("a chat template's special tokens", () => {
  const golden = goldenJson('special-tokens/cases.json') as {
    readonly template: string;
    readonly cases: readonly {
      name: string;
      config: Record<string, unknown>;
      /** True where the config lists added tokens. */
      listed: boolean;
      map?: Record<string, unknown>;
      text: string;
    }[];
  };

  for (const { name, config, listed, map, text } of golden.cases) {
    it(`are those of transformers for ${name}`, () => {
      using directory = new TemporaryDirectory();
      directory.write('chat_template.jinja', golden.template);
      const added = listed ? { added_tokens_decoder: {} } : {};
      directory.write('tokenizer_config.json', JSON.stringify({ ...added, ...config }));
      if (map !== undefined) directory.write('special_tokens_map.json', JSON.stringify(map));
      const template = ChatTemplate.load(directory.path);
      assert.equal(template.render([{ role: 'user', content: 'x' }]), text);
    });
  }

  it('are there when the tokenizer lists tokens in the form of transformers 5', () => {
    using directory = new TemporaryDirectory();
    directory.write(
      'chat_template.jinja',
      '{{ additional_special_tokens | join }}{{ image_token }}',
    );
    const config = {
      extra_special_tokens: ['<a>', '<b>'],
      model_specific_special_tokens: { image_token: '<i>' },
    };
    directory.write('tokenizer_config.json', JSON.stringify(config));
    assert.equal(ChatTemplate.load(directory.path).render(messages), '<a><b><i>');
  });

  it('takes further variables, which stand behind those of a conversation', () => {
    const source =
      '{{ messages[0].content }} {{ enable_thinking is defined and not enable_thinking }}';
    const template = new ChatTemplate(source);
    const changed = template.with({ enable_thinking: false, messages: [{ content: 'other' }] });
    assert.equal(changed.render([{ role: 'user', content: 'x' }]), 'x true');
    assert.equal(template.render([{ role: 'user', content: 'x' }]), 'x false');
  });
});

describe('JinjaTemplate', () => {
  const endless: readonly [string, string][] = [
    ['loops', '{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}'],
    ['makes a list without end', '{{ range(10000000000) }}'],
  ];
  for (const [what, source] of endless) {
    it(`gives up a template that ${what}`, () => {
      const options = { origin: 'chat template', code: 'CHECKPOINT_INVALID' } as const;
      const template = new JinjaTemplate(source, {
        ...options,
        trimBlocks: true,
        timeLimitMs: 100,
      });
      const message = 'chat template: not rendered after 0.1 s; does a loop in it end?';
      assert.throws(() => template.render({}), { code: 'CHECKPOINT_INVALID', message });
      const started = performance.now();
      assert.throws(() => template.render({}), { message });
      assert.ok(performance.now() - started < 50, 'the second try takes no time');
    });
  }
});

describe('PromptFormat', () => {
  it("renders with Jinja's own white space rules, without escaping", () => {
    const source = '\n{{ content | trim }} <a> & "b"\n{% if true %}\n  x\n{% endif %}\ny\n';
    // The value Jinja2 gives for the stripped source.
    const expected = '<image>hi & <a> & "b"\n\n  x\n\ny';
    assert.equal(new PromptFormat(source).render('  <image>hi & '), expected);
  });

  it('names a file that is missing or does not parse', () => {
    using directory = new TemporaryDirectory();
    const path = directory.write('format.jinja', '{{ content');
    assert.throws(() => PromptFormat.load(path), {
      code: 'CONFIG_INVALID',
      message: /format\.jinja/,
    });
    assert.throws(() => PromptFormat.load(`${path}x`), {
      code: 'CONFIG_INVALID',
      message: /jinjax/,
    });
  });
});

describe('the prompt formats that come with cxmind', () => {
  const folder = new URL('../../../configs/format_prompt/', import.meta.url);
  const rendered = (name: string): string =>
    PromptFormat.load(new URL(`${name}.jinja`, folder).pathname).render('  How many?\n');

  it('hold the prompt once, trimmed', () => {
    const names = readdirSync(folder).map((file) => file.replace('.jinja', ''));
    assert.deepEqual(names.sort(), ['android_gui', 'close', 'dapo', 'math', 'open', 'r1v']);
    for (const name of names) {
      const parts = rendered(name).split('How many?');
      assert.equal(parts.length, 2, name);
      assert.doesNotMatch(parts.join('|'), /^\s|\s$|\{\{| {2}\|/, name);
    }
  });

  it('ask for the layout that their rewards read', () => {
    const chain = '<think></think><answer></answer><think></think><answer></answer>';
    assert.ok(rendered('open').startsWith('How many?') && rendered('open').includes(chain));
    for (const name of ['math', 'close']) {
      assert.match(rendered(name), /^How many\? .*<think> and <\/think>.*\\boxed\{\}/);
    }
    assert.match(rendered('r1v'), /<think> .* <\/think><answer> .* <\/answer>$/);
    assert.match(rendered('dapo'), /Answer: \$Answer[^]*\n\nHow many\?\n\n[^]*"Answer:"/);
    assert.match(rendered('android_gui'), /ONE digit[^]*0, 1 or 2[^]*---\n\nHow many\?$/);
  });
});

describe('expandPlaceholders', () => {
  it('repeats each placeholder by its own count', () => {
    assert.deepEqual([...expandPlaceholders([1, 9, 2, 9], 9, [3, 1])], [1, 9, 9, 9, 2, 9]);
    assert.deepEqual([...expandPlaceholders([1, 2], 9, [])], [1, 2]);
  });
});
