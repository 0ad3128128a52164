import assert from 'node:assert/strict';
import { ChatTemplate } from '../../../src/text/chat-template.ts';
import { expandPlaceholders } from '../../../src/text/image-tokens.ts';
import { PromptFormat } from '../../../src/text/prompt-format.ts';
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

describe('expandPlaceholders', () => {
  it('repeats each placeholder by its own count', () => {
    assert.deepEqual([...expandPlaceholders([1, 9, 2, 9], 9, [3, 1])], [1, 9, 9, 9, 2, 9]);
    assert.deepEqual([...expandPlaceholders([1, 2], 9, [])], [1, 2]);
  });
});
