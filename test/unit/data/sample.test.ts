import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DEFAULT_KEYS, type DatasetRow, type ImageReference } from '../../../src/data/row.ts';
import { filterOverlong } from '../../../src/data/overlong.ts';
import { decodeRow } from '../../../src/data/decode-row.ts';
import { heldRows } from '../../../src/data/row-store.ts';
import { SampleBuilder, type SampleOptions } from '../../../src/data/sample.ts';
import { LocalPixels, type PixelSettings } from '../../../src/data/pixel-reader.ts';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { promptPositions } from '../../../src/model/position-ids.ts';
import { patchValues } from '../../../src/tensor/patch-levels.ts';
import { ChatTemplate } from '../../../src/text/chat-template.ts';
import { PromptFormat } from '../../../src/text/prompt-format.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { loadProcessor } from '../../../src/vision/processor.ts';
import { assertClose } from '../../support/assert-close.ts';
import {
  goldenCases,
  goldenJson,
  goldenPath,
  goldenPixelValues,
  goldenTensors,
  type GoldenCase,
} from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const checkpoint = goldenPath('micro-vl');
const reference = goldenPath('micro-vl-reference');
const config = decodeModelConfig(goldenJson('micro-vl/config.json'), 'config.json');
const cases = goldenCases();

function visionOf(changes: Partial<PixelSettings> = {}): NonNullable<SampleOptions['vision']> {
  const settings = loadProcessor(checkpoint);
  const bounds = { minPixels: null, maxPixels: null };
  const pixels = new LocalPixels({
    image: settings,
    video: settings,
    frames: 'joined',
    bounds,
    videoFps: 2,
    ...changes,
  });
  return { pixels, imageTokenId: 630, videoTokenId: 631 };
}

const options: SampleOptions = {
  tokenizer: Tokenizer.load(checkpoint),
  chatTemplate: ChatTemplate.load(checkpoint),
  vision: visionOf(),
  positionsOf: (ids, grids, secondsPerGrid) =>
    promptPositions(config, ids, { grids, secondsPerGrid }),
  promptFormat: null,
  keys: DEFAULT_KEYS,
  imageDir: reference,
  limitImages: 0,
  maxPromptLength: 200,
  maxResponseLength: 40,
};

const place = { file: 'rows.jsonl', name: 'rows.jsonl', line: 7 };

function rowOf(prompt: string, images: readonly ImageReference[] | null, answer = 'A'): DatasetRow {
  return { ...place, prompt, answer, images, videos: null, history: [], fields: {} };
}

function goldenRow({ messages, images, response_text }: GoldenCase): DatasetRow {
  const turns = messages.map(({ role, content }) => ({
    role,
    content: content.map(({ type, text }) => ({ type, text })),
  }));
  const answer = { role: 'assistant', content: response_text };
  const value = { messages: [...turns, answer], images: images.length > 0 ? images : undefined };
  const row = decodeRow({ ...place, isText: false, value }, DEFAULT_KEYS);
  return { ...row, answer: response_text };
}

function invalid(message: RegExp): object {
  return { code: 'DATA_INVALID', message };
}

describe('SampleBuilder', () => {
  const builder = new SampleBuilder(options);
  const tensors = goldenTensors('micro-vl-reference/tensors.safetensors');

  it('names a sample alike wherever its data set lies', async () => {
    const row = rowOf('how?', null);
    for (const file of ['rows.jsonl', '/somewhere/rows.jsonl', '../else/rows.jsonl']) {
      assert.equal((await builder.build({ ...row, file })).id, 'rows.jsonl:7');
    }
  });

  for (const golden of cases) {
    it(`makes golden case ${golden.id} of a row`, async () => {
      const row = goldenRow(golden);
      const sample = await builder.build(row);
      assert.deepEqual([...sample.tokenIds], golden.prompt_ids);
      assert.deepEqual(sample.grids, golden.image_grid_thw);
      assert.deepEqual([...builder.encodeAnswer(row)], golden.response_ids);
      assert.equal(await builder.promptLength(row), golden.prompt_ids.length);
      const { data } = goldenPixelValues(tensors, golden.id);
      const parts = sample.pixelValues === null ? [] : [sample.pixelValues];
      assertClose(patchValues(parts)?.data ?? [], data, { atol: 1e-6 });

      const promptPositions = golden.position_ids.map((row) =>
        row.slice(0, sample.tokenIds.length),
      );
      assert.deepEqual([...sample.positions.data], promptPositions.flat());
    });
  }

  it('asks the turns of a conversation one after the other', async () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Is <image> a chest?' },
      { role: 'assistant', content: 'Yes.' },
      { role: 'user', content: '<image> Which side?' },
    ];
    const images = cases[2]!.images;
    const value = { messages, images, answer: 'left' };
    const row = decodeRow({ ...place, isText: false, value }, DEFAULT_KEYS);
    const { tokenIds, grids } = await builder.build(row);
    const picture = (i: number): string =>
      `<|vision_start|>${'<|image_pad|>'.repeat(grids[i]!.reduce((a, b) => a * b) / 4)}<|vision_end|>`;
    const text =
      '<|im_start|>system\nBe brief.<|im_end|>\n' +
      `<|im_start|>user\nIs ${picture(0)} a chest?<|im_end|>\n` +
      '<|im_start|>assistant\nYes.<|im_end|>\n' +
      `<|im_start|>user\n${picture(1)}Which side?<|im_end|>\n<|im_start|>assistant\n`;
    assert.equal(options.tokenizer.decode(tokenIds), text);
    assert.equal(row.answer, 'left');
  });

  it('refuses an answer with a token that stands for an image or video', () => {
    for (const token of ['<|image_pad|>', '<|video_pad|>']) {
      const reason = `an answer is text, but ${token} stands for an image or video`;
      const error = { code: 'DATA_INVALID', message: `rows.jsonl:7: answer: ${reason}` };
      assert.throws(() => builder.encodeAnswer(rowOf('x', null, `a ${token} b`)), error);
    }
  });

  it('names the row whose turns the template refuses', async () => {
    const chatTemplate = new ChatTemplate("{{ raise_exception('no system here') }}");
    const refusing = new SampleBuilder({ ...options, chatTemplate });
    const history = [{ role: 'system', content: 's' }] as const;
    const message = /^rows\.jsonl:7: messages: chat template: no system here$/;
    await assert.rejects(refusing.build({ ...rowOf('x', null), history }), invalid(message));
  });

  it('reads image bytes as it reads the file', async () => {
    const path = cases[1]!.images[0]!;
    const bytes = readFileSync(`${reference}/${path}`);
    const fromBytes = await builder.build(rowOf('<image>x', [{ bytes }]));
    const fromPath = await builder.build(rowOf('<image>x', [path]));
    assert.deepEqual(fromBytes.pixelValues, fromPath.pixelValues);
    assert.notEqual(fromBytes.pixelValues, fromPath.pixelValues);
  });

  it('looks for images beside the file when there is no image_dir', async () => {
    const besideFile = new SampleBuilder({ ...options, imageDir: null });
    const row = { ...rowOf('<image>x', [cases[1]!.images[0]!]), file: `${reference}/rows.jsonl` };
    assert.deepEqual((await besideFile.build(row)).grids, cases[1]!.image_grid_thw);
  });

  it('resizes into the pixel bounds before the processor does', async () => {
    const bounds = { minPixels: 112 * 112 * 4, maxPixels: null };
    const bounded = new SampleBuilder({ ...options, vision: visionOf({ bounds }) });
    const row = rowOf('<image>x', [cases[1]!.images[0]!]);
    assert.deepEqual((await bounded.build(row)).grids, [[1, 16, 16]]);
    assert.equal(await bounded.promptLength(row), (await bounded.build(row)).tokenIds.length);
  });

  it('renders the format prompt before it looks for markers', async () => {
    const promptFormat = new PromptFormat('{{ content | trim }} Think first.');
    const formatted = new SampleBuilder({ ...options, promptFormat });
    const sample = await formatted.build(rowOf(' <image>What?\n', [cases[1]!.images[0]!]));
    assert.equal(sample.text, '<image>What? Think first.');
    const text = options.tokenizer.decode(sample.tokenIds).replace(/(<\|image_pad\|>)+/, '…');
    assert.ok(text.includes('<|vision_start|>…<|vision_end|>What? Think first.<|im_end|>'));
  });

  it('makes a sample once and keeps it within its bytes', async () => {
    const [first, second] = [goldenRow(cases[1]!), goldenRow(cases[2]!)];
    const made = await builder.build(first);
    assert.equal(await builder.build(first), made);
    const small = new SampleBuilder({ ...options, cacheBytes: 1.75e5 });
    const [one, two] = [await small.build(first), await small.build(second)];
    assert.equal(await small.build(second), two);
    assert.notEqual(await small.build(first), one);
  });

  it('names file, line and field when markers and images differ in number', async () => {
    const image = cases[1]!.images[0]!;
    const rejects = (row: DatasetRow, message: RegExp): Promise<void> =>
      assert.rejects(builder.build(row), invalid(message));
    await rejects(
      rowOf('<image><image>', [image]),
      /^rows\.jsonl:7: images: .*2 <image>.* 1 image/,
    );
    await rejects(rowOf('none', [image]), /^rows\.jsonl:7: images: .*0 <image>.* 1 image/);
    await rejects(rowOf('<image>', null), /^rows\.jsonl:7: images: .*1 <image>.* 0 image/);
    await rejects(rowOf('<|image_pad|>', null), /^rows\.jsonl:7: prompt: .*1 image placeholder/);
    assert.equal((await builder.build(rowOf('none', []))).pixelValues, null);
  });

  it('names file, line and image when the image is missing, truncated or not one', async () => {
    using directory = new TemporaryDirectory();
    const bytes = readFileSync(`${reference}/${cases[1]!.images[0]!}`);
    const half = directory.write('half.png', bytes.subarray(0, bytes.length / 2));
    const words = directory.write('words.png', 'no image');
    const rejects = (image: string, message: RegExp): Promise<void> =>
      assert.rejects(
        builder.build(rowOf('<image>a<image>', [cases[1]!.images[0]!, image])),
        invalid(message),
      );
    await rejects('gone.png', /^rows\.jsonl:7: images\[1\]: image .*gone\.png: no such file/);
    await rejects(
      half,
      /^rows\.jsonl:7: images\[1\]: image .*half\.png: this PNG file is truncated/,
    );
    await rejects(
      words,
      /^rows\.jsonl:7: images\[1\]: image .*words\.png: it is a file of no format that is known/,
    );
  });

  it('refuses images for a model without vision', async () => {
    const textOnly = new SampleBuilder({ ...options, vision: null });
    const row = rowOf('<image>', [cases[1]!.images[0]!]);
    await assert.rejects(textOnly.build(row), invalid(/images: this model takes no images/));
    assert.equal((await textOnly.build(rowOf('text', null))).grids.length, 0);
  });

  it('cuts a long text at its end, but never through an image', async () => {
    const short = new SampleBuilder({ ...options, maxPromptLength: 45 });
    const long = goldenRow(cases[0]!);
    const { tokenIds } = await short.build({ ...long, prompt: long.prompt.repeat(5) });
    assert.equal(tokenIds.length, 45);
    await assert.rejects(
      short.build(goldenRow(cases[2]!)),
      invalid(
        /^rows\.jsonl:7: prompt: \d+ tokens with its images or videos, max_prompt_length is 45/,
      ),
    );
  });

  it('refuses an answer longer than max_response_length, end of turn counted', () => {
    const row = goldenRow(cases[0]!);
    const length = cases[0]!.response_ids.length;
    const limited = (maxResponseLength: number): SampleBuilder =>
      new SampleBuilder({ ...options, maxResponseLength });
    assert.equal(limited(length).encodeAnswer(row).length, length);
    assert.throws(
      () => limited(length - 1).encodeAnswer(row),
      invalid(new RegExp(`^rows\\.jsonl:7: answer: ${length} tokens .* is ${length - 1}`)),
    );
  });
});

describe('filterOverlong', () => {
  const rows = heldRows([...cases.map(goldenRow), rowOf('<image>', ['gone.png'])]);
  const filter = { maxPromptLength: 60, invalidRows: 'fail', concurrency: 3 } as const;
  const kept = cases.filter((golden) => golden.prompt_ids.length <= 60).length;

  it('keeps the prompts that fit, images expanded, and counts the others', async () => {
    const builder = new SampleBuilder(options);
    const filtered = await filterOverlong(rows, builder, { ...filter, invalidRows: 'skip' });
    assert.equal(filtered.rows.length, kept);
    assert.equal(filtered.overlong, cases.length - kept);
    assert.match(filtered.skipped[0]!.message, /^rows\.jsonl:7: images\[0\]: .*no such file/);
  });

  it('ends at a bad row when rows may not be skipped', async () => {
    const filtering = filterOverlong(rows, new SampleBuilder(options), filter);
    await assert.rejects(filtering, invalid(/gone\.png: no such file/));
  });
});
