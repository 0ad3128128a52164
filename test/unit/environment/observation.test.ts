import assert from 'node:assert/strict';
import { join } from 'node:path';
import sharp from 'sharp';
import { chatTools } from '../../../src/data/sample-options.ts';
import { observe } from '../../../src/environment/observation.ts';
import type { ShownMessage } from '../../../src/environment/environment.ts';
import { ChatTemplate, type ChatMessage, type Tool } from '../../../src/text/chat-template.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';
import { goldenCases, goldenJson, goldenPath } from '../../support/golden.ts';

/** A conversation as transformers renders and tokenises it, with the beginning of the next turn. */
interface Rendered {
  readonly messages: readonly ChatMessage[];
  readonly text: string;
  readonly ids: readonly number[];
}

/** A template of Qwen3's manners: thoughts of earlier turns go, and the last turn gets empty ones. */
const FORGETFUL = `{% for message in messages %}<|im_start|>{{ message.role }}
{% if message.role == 'assistant' and loop.last %}<think>

</think>

{% endif %}{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

describe('observe', () => {
  const directory = goldenPath('micro-vl');
  let tools: ReturnType<typeof chatTools>;
  before(async () => {
    const { config: model } = await loadGoldenModel('micro-vl');
    tools = chatTools({
      ...{ model, tokenizerPath: directory, overrideChatTemplate: null },
      ...{ minPixels: null, maxPixels: null, videoFps: 2 },
    });
  });

  const turn = 'Is there an effusion?';
  const messages: ShownMessage[] = [
    { role: 'tool', content: 'The left lung.' },
    { role: 'user', content: [{ type: 'text', text: 'Look again.' }] },
  ];

  it('gives the tokens by which the whole conversation goes on', async () => {
    const { tokenizer, chatTemplate } = tools;
    const prompt: ChatMessage[] = [{ role: 'user', content: 'Findings?' }];
    const before = tokenizer.encode(chatTemplate.render(prompt));
    const own = [...tokenizer.encode(turn), tokenizer.endOfTurnId];
    const { tokenIds, pictures } = await observe(tools, messages, own.at(-1)!);
    const whole = chatTemplate.render([
      ...prompt,
      { role: 'assistant', content: turn },
      { role: 'tool', content: 'The left lung.' },
      { role: 'user', content: 'Look again.' },
    ]);
    assert.deepEqual([...before, ...own, ...tokenIds], tokenizer.encode(whole));
    assert.equal(pictures, null);
  });

  describe('under a template with tools, against transformers', () => {
    const golden = goldenJson('tools/cases.json') as {
      readonly tools: readonly Tool[];
      readonly call: string;
      readonly prompt: Rendered;
      readonly answers: readonly Rendered[];
    };
    const chatTemplate = ChatTemplate.fromFile(goldenPath('tools/template.jinja'), {});

    it('shows the tools with the prompt', () => {
      const text = chatTemplate.render(golden.prompt.messages, { tools: golden.tools });
      assert.equal(text, golden.prompt.text);
      assert.deepEqual(tools.tokenizer.encode(text), golden.prompt.ids);
    });

    for (const { messages: shown, ids } of golden.answers) {
      it(`goes on from a call with ${shown.length} message(s)`, async () => {
        const { tokenizer } = tools;
        const turn = [...tokenizer.encode(golden.call), tokenizer.endOfTurnId];
        const seen = shown as readonly ShownMessage[];
        const { tokenIds } = await observe({ ...tools, chatTemplate }, seen, turn.at(-1)!);
        assert.deepEqual([...golden.prompt.ids, ...turn, ...tokenIds], ids);
      });
    }
  });

  it('ends a turn that something else than its own end ended', async () => {
    const { tokenizer } = tools;
    const { tokenIds } = await observe(tools, messages, tokenizer.padId);
    assert.equal(tokenIds[0], tokenizer.endOfTurnId);
    const closed = await observe(tools, messages, tokenizer.endOfTurnId);
    assert.deepEqual(tokenIds.subarray(1), closed.tokenIds);
  });

  it('does not mind a template that writes the last turn in another way', async () => {
    const chatTemplate = new ChatTemplate(FORGETFUL);
    const { tokenIds } = await observe(
      { ...tools, chatTemplate },
      messages,
      tools.tokenizer.endOfTurnId,
    );
    const expected =
      '\n<|im_start|>tool\nThe left lung.<|im_end|>\n<|im_start|>user\nLook again.<|im_end|>\n' +
      '<|im_start|>assistant\n';
    assert.equal(tools.tokenizer.decode(tokenIds), expected);
  });

  it('shows pictures with the grids and patches that prompts have', async () => {
    const golden = goldenCases().find(({ images }) => images.length === 1)!;
    const image = join(goldenPath('micro-vl-reference'), golden.images[0]!);
    const content = [{ type: 'image', image } as const, { type: 'text', text: 'Here.' } as const];
    const end = tools.tokenizer.endOfTurnId;
    const { tokenIds, pictures } = await observe(tools, [{ role: 'tool', content }], end);
    assert.deepEqual(pictures!.grids, golden.image_grid_thw);
    const [[, height, width]] = golden.image_grid_thw as [[number, number, number]];
    const pad = tools.vision!.imageTokenId;
    assert.equal(tokenIds.filter((id) => id === pad).length, (height * width) / 4);
    assert.equal(pictures!.pixelValues.levels.shape[0], height * width);
  });

  it('reads 16-bit pictures by the depth that is given', async () => {
    const samples = new Uint16Array(56 * 56).fill(4095);
    const raw = { width: 56, height: 56, channels: 1 } as const;
    const picture = sharp(samples, { raw }).toColourspace('grey16').png();
    const content = [{ type: 'image', image: await picture.toBuffer() } as const];
    const end = tools.tokenizer.endOfTurnId;
    const levelsBy = async (bitDepth?: 12) => {
      const shown = await observe({ ...tools, bitDepth }, [{ role: 'tool', content }], end);
      return new Set(shown.pictures!.pixelValues.levels.data);
    };
    assert.deepEqual([...(await levelsBy(12))], [255]);
    assert.deepEqual([...(await levelsBy())], [15]);
  });

  it('refuses a text that spells a placeholder out, and pictures for a model without vision', async () => {
    const end = tools.tokenizer.endOfTurnId;
    for (const [kind, media] of [
      ['image', 'picture'],
      ['video', 'video'],
    ] as const) {
      const spelt = [{ role: 'tool', content: `a <|${kind}_pad|>` } as const];
      await assert.rejects(observe(tools, spelt, end), {
        code: 'DATA_INVALID',
        message: `the messages have 1 ${kind} placeholder(s) for 0 ${media}(s)`,
      });
    }
    const shown = [{ role: 'tool', content: [{ type: 'image', image: 'a.png' }] } as const];
    await assert.rejects(observe({ ...tools, vision: null }, shown, end), {
      message: /this model takes none/,
    });
  });
});
