import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { demoModelSize, writeDemoCheckpoint } from '../../../src/demo/checkpoint.ts';
import { loadDataset } from '../../../src/data/dataset.ts';
import { DEFAULT_KEYS } from '../../../src/data/row.ts';
import { SampleBuilder } from '../../../src/data/sample.ts';
import { sampleOptions } from '../../../src/data/sample-options.ts';
import { demoFamilies } from '../../../src/demo/family.ts';
import { writeDemo, type DemoPaths } from '../../../src/demo/write.ts';
import { loadCheckpoint } from '../../../src/model/checkpoint/checkpoint.ts';
import { readSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { decodeImage } from '../../../src/vision/decode.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const rows = { closedTrain: 14, closedValidation: 7, openTrain: 7, openValidation: 7 };

interface Row {
  readonly prompt: string;
  readonly answer: string;
  readonly images: readonly [string];
  readonly findings: readonly string[];
}

async function rowsOf(file: string): Promise<Row[]> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Row);
}

/** Every file below a directory, with a digest of its bytes. */
async function digests(directory: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const file = path.join(entry.parentPath, entry.name);
    found.set(path.relative(directory, file), hash('sha256', await readFile(file)));
  }
  return found;
}

describe('writeDemo', () => {
  let temporary: TemporaryDirectory;
  let demo: string;
  let parts: DemoPaths;
  before(async () => {
    temporary = new TemporaryDirectory();
    demo = path.join(temporary.path, 'demo');
    parts = await writeDemo(demo, { seed: 3, rows, pictureSize: 56 });
  });
  after(() => temporary[Symbol.dispose]());

  it('writes as many rows as asked, each with a picture that decodes', async () => {
    const files = [
      parts.closedTrain,
      parts.closedValidation,
      parts.openTrain,
      parts.openValidation,
    ];
    const all = await Promise.all(files.map(rowsOf));
    assert.deepEqual(
      all.map(({ length }) => length),
      [14, 7, 7, 7],
    );
    for (const { images, prompt } of all.flat()) {
      const { width, height } = await decodeImage(path.join(demo, images[0]));
      assert.deepEqual([width, height], [56, 56]);
      assert.equal(prompt.split('<image>').length, 2);
    }
  });

  it('shares no picture between rows, parts and tasks', async () => {
    const pictures = [...(await digests(path.join(demo, 'images'))).values()];
    assert.equal(pictures.length, 35);
    assert.equal(new Set(pictures).size, 35);
  });

  it('gives the same bytes for the same seed, others for another', async () => {
    const [same, other] = ['same', 'other'].map((name) => path.join(temporary.path, name));
    await writeDemo(same!, { seed: 3, rows, pictureSize: 56 });
    await writeDemo(other!, { seed: 4, rows, pictureSize: 56 });
    const before = await digests(demo);
    assert.deepEqual(await digests(same!), before);
    const after = await digests(other!);
    for (const name of ['model/model.safetensors', 'images/closed-train/00000.png']) {
      assert.notEqual(after.get(name), before.get(name));
    }
  });

  it('writes a checkpoint that loads, ready to be trained', async () => {
    const { config, arena } = await loadCheckpoint(parts.model);
    const tokenizer = Tokenizer.load(parts.model);
    assert.equal(config.tokens!.imagePad, tokenizer.idOf('<|image_pad|>'));
    assert.ok(config.text.vocabSize >= tokenizer.size);
    assert.ok(arena.tensor('model.norm.weight').data.every((value) => value === 1));
    const bias = arena.tensor('model.layers.0.self_attn.q_proj.bias').data;
    assert.ok(bias.every((value) => value === 0));
    const weights = arena.tensor('model.layers.0.mlp.gate_proj.weight').data;
    const variance = weights.reduce((sum, value) => sum + value * value, 0) / weights.length;
    assert.ok(Math.abs(variance * config.text.hiddenSize - 1) < 0.05, `variance ${variance}`);
  });

  for (const family of demoFamilies) {
    it(`writes a model of a family with data that it takes: ${family}`, async () => {
      const folder = path.join(temporary.path, family);
      const few = { closedTrain: 7, closedValidation: 1, openTrain: 7, openValidation: 1 };
      const { model, closedTrain } = await writeDemo(folder, { seed: 1, family, rows: few });
      const { config, notes } = await loadCheckpoint(model);
      assert.deepEqual(notes, []);
      const { rows } = await loadDataset({
        source: closedTrain,
        invalidRows: 'fail',
        ...DEFAULT_KEYS,
      });
      const bounds = { minPixels: null, maxPixels: null, limitImages: 0, videoFps: 2 };
      const builder = new SampleBuilder(
        sampleOptions({
          ...{ ...DEFAULT_KEYS, ...bounds, model: config, tokenizerPath: model, imageDir: folder },
          ...{ formatPrompt: null, overrideChatTemplate: null },
          ...{ maxPromptLength: 1000, maxResponseLength: 1000 },
        }),
      );
      const { tokenIds, grids } = await builder.build(rows[0]!);
      assert.ok(tokenIds.every((id) => id < config.text.vocabSize));
      // Pictures are of a size that the processor leaves.
      assert.deepEqual(grids, config.vision === null ? [] : [[1, 8, 8]]);
    });
  }

  it('has a tokenizer that gives back every solution in few tokens', async () => {
    const tokenizer = Tokenizer.load(parts.model);
    for (const { answer } of await rowsOf(parts.openTrain)) {
      const ids = tokenizer.encode(answer);
      assert.equal(tokenizer.decode(ids), answer);
      assert.ok(
        ids.length < answer.length / 3,
        `${ids.length} tokens for ${answer.length} letters`,
      );
    }
  });

  it('refuses a directory that holds something', async () => {
    const taken = path.join(temporary.path, 'taken');
    await mkdir(taken);
    await writeFile(path.join(taken, 'thesis.txt'), 'x');
    await assert.rejects(writeDemo(taken, { seed: 1 }), { code: 'CONFIG_INVALID' });
    assert.deepEqual(await readdir(taken), ['thesis.txt']);
  });

  it('writes tied embeddings on request, and refuses sizes that do not fit', async () => {
    const texts = ['a small text'];
    const target = path.join(temporary.path, 'tied');
    const tied = { ...demoModelSize, tieWordEmbeddings: true };
    await writeDemoCheckpoint(target, { seed: 1, size: tied, texts });
    const tensors = await readSafetensors(path.join(target, 'model.safetensors'));
    assert.ok(!tensors.has('lm_head.weight'));
    assert.ok(tensors.values().every(({ dtype }) => dtype === 'f32'));
    await loadCheckpoint(target);
    const wrong = { ...demoModelSize, heads: 3 };
    await assert.rejects(
      writeDemoCheckpoint(path.join(temporary.path, 'wrong'), { seed: 1, size: wrong, texts }),
      { code: 'CHECKPOINT_INVALID' },
    );
  });
});
