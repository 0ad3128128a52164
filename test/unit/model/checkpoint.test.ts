import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';

import { CxmindError } from '../../../src/errors.ts';
import { copyCompanions } from '../../../src/model/checkpoint/companions.ts';
import { loadCheckpoint, saveCheckpoint } from '../../../src/model/checkpoint/checkpoint.ts';
import {
  readSafetensors,
  writeSafetensors,
  type TensorToStore,
} from '../../../src/model/checkpoint/safetensors.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { goldenPath } from '../../support/golden.ts';

const golden = goldenPath('micro-vl');
type Json = Record<string, unknown>;

describe('checkpoint', () => {
  let scratch = '';
  beforeEach(async () => (scratch = await mkdtemp(path.join(os.tmpdir(), 'cxmind-checkpoint-'))));
  afterEach(() => rm(scratch, { recursive: true, force: true }));

  /** A copy of the golden checkpoint whose weights passed through `edit`. */
  async function variant(edit: (tensors: Map<string, Tensor>) => TensorToStore[]): Promise<string> {
    const directory = path.join(scratch, 'variant');
    await mkdir(directory);
    for (const name of ['config.json', 'tokenizer.json']) {
      await cp(path.join(golden, name), path.join(directory, name));
    }
    const tensors = await readSafetensors(path.join(golden, 'model.safetensors'));
    await writeSafetensors(path.join(directory, 'model.safetensors'), edit(tensors));
    return directory;
  }

  const asStored = (tensors: Map<string, Tensor>): TensorToStore[] =>
    [...tensors].map(([name, tensor]) => ({ name, tensor }));

  async function failure(directory: string): Promise<string> {
    try {
      await loadCheckpoint(directory);
    } catch (error) {
      assert.ok(error instanceof CxmindError);
      assert.equal(error.code, 'CHECKPOINT_INVALID');
      return error.message;
    }
    return assert.fail('loaded');
  }

  it('reads every tensor of the golden checkpoint into its place', async () => {
    const { arena, config } = await loadCheckpoint(golden);
    const tensors = await readSafetensors(path.join(golden, 'model.safetensors'));
    assert.equal(arena.layout.entries.length, tensors.size);
    for (const [name, { shape, data }] of tensors) {
      const view = arena.tensor(name);
      assert.deepEqual(view.shape, shape);
      assert.deepEqual(view.data, data);
    }
    assert.equal(config.text.kvHeads, 2);
    const layer = 'model.layers.1.self_attn';
    const qkv = arena.span(['q', 'k', 'v'].map((which) => `${layer}.${which}_proj.weight`));
    assert.deepEqual(qkv.shape, [128, 64]);
    assert.equal(qkv.data[64 * 64], tensors.get(`${layer}.k_proj.weight`)!.data[0]);
  });

  it('saves an untouched arena with the same bytes, companions included', async () => {
    const { arena } = await loadCheckpoint(golden);
    const target = path.join(scratch, 'saved');
    await saveCheckpoint(target, { from: golden, arena });
    const names = (await readdir(golden)).sort();
    assert.deepEqual((await readdir(target)).sort(), names);
    for (const name of names) {
      const [before, after] = await Promise.all(
        [golden, target].map((directory) => readFile(path.join(directory, name))),
      );
      assert.ok(before!.equals(after!), name);
    }
    assert.deepEqual(await readdir(scratch), ['saved']);
  });

  it('asks for no memory for sizes that the weights do not have, each as large as may be', async () => {
    const directory = await variant(asStored);
    const file = path.join(directory, 'config.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as Json;
    const sizes = { num_hidden_layers: 2 ** 10, intermediate_size: 2 ** 20, vocab_size: 2 ** 24 };
    await writeFile(file, JSON.stringify({ ...config, ...sizes }));
    const memory = (): never => assert.fail('asked for memory');
    await assert.rejects(loadCheckpoint(directory, { memory }), {
      code: 'CHECKPOINT_INVALID',
      message:
        /the weights do not fit config\.json .*missing tensors: model\.layers\.2\..* and \d+ more/,
    });
  });

  it('stops reading when it is interrupted, with the reason', async () => {
    const interrupted = new AbortController();
    const reason = new Error('interrupted');
    const memory = (sizeBytes: number): SharedArrayBuffer => {
      interrupted.abort(reason);
      return new SharedArrayBuffer(sizeBytes);
    };
    const loading = loadCheckpoint(golden, { memory, signal: interrupted.signal });
    await assert.rejects(loading, (error) => error === reason);
  });

  it('keeps the chat templates that have names', async () => {
    const [from, to] = [path.join(scratch, 'from'), path.join(scratch, 'to')];
    const named = path.join('additional_chat_templates', 'tool_use.jinja');
    await Promise.all(
      [path.dirname(path.join(from, named)), to].map((folder) =>
        mkdir(folder, { recursive: true }),
      ),
    );
    await writeFile(path.join(from, named), '{{ tools }}');
    await copyCompanions(from, to, {});
    assert.equal(await readFile(path.join(to, named), 'utf8'), '{{ tools }}');
  });

  it('keeps bf16 and f16 tensors bit for bit and rounds changed ones to nearest even', async () => {
    const source = await variant((tensors) =>
      [...tensors].map(([name, tensor]) => ({
        name,
        tensor,
        dtype: name.startsWith('visual.') ? 'bf16' : 'f16',
      })),
    );
    const { arena } = await loadCheckpoint(source);
    const name = 'visual.patch_embed.proj.weight';
    const weights = arena.tensor(name).data;
    weights.set([1 + 2 ** -8, 1 + 3 * 2 ** -8, -(2 ** -130)]);
    const target = path.join(scratch, 'saved');
    await saveCheckpoint(target, { from: source, arena });
    const before = await readSafetensors(path.join(source, 'model.safetensors'));
    const after = await readSafetensors(path.join(target, 'model.safetensors'));
    const changed = after.get(name)!;
    assert.equal(changed.dtype, 'bf16');
    assert.deepEqual([...changed.data.subarray(0, 3)], [0x3f80, 0x3f82, 0x8008]);
    const old = before.get(name)!;
    (changed.data as Uint16Array).set((old.data as Uint16Array).subarray(0, 3));
    assert.deepEqual(after, before);
  });

  it('saves over the directory it was loaded from', async () => {
    const source = await variant(asStored);
    const { arena } = await loadCheckpoint(source);
    arena.tensor('model.norm.weight').data[5] = 42;
    await saveCheckpoint(source, { from: source, arena });
    const again = await loadCheckpoint(source);
    assert.equal(again.arena.tensor('model.norm.weight').data[5], 42);
    assert.deepEqual(again.arena.data, arena.data);
    assert.deepEqual(await readdir(scratch), ['variant']);
  });

  it('reads shards by their index and writes the same shards', async () => {
    const source = await variant((tensors) => asStored(tensors).slice(0, 20));
    const all = asStored(await readSafetensors(path.join(golden, 'model.safetensors')));
    const shards = [
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ] as const;
    await rm(path.join(source, 'model.safetensors'));
    await writeSafetensors(path.join(source, shards[0]), all.slice(0, 20));
    await writeSafetensors(path.join(source, shards[1]), all.slice(20));
    const weightMap = Object.fromEntries(all.map(({ name }, i) => [name, shards[i < 20 ? 0 : 1]]));
    const index = path.join(source, 'model.safetensors.index.json');
    await writeFile(index, JSON.stringify({ metadata: {}, weight_map: weightMap }));
    const { arena } = await loadCheckpoint(source);
    assert.deepEqual(arena.data, (await loadCheckpoint(golden)).arena.data);
    const target = path.join(scratch, 'saved');
    await saveCheckpoint(target, { from: source, arena });
    assert.deepEqual((await readdir(target)).sort(), (await readdir(source)).sort());
    assert.deepEqual((await loadCheckpoint(target)).arena.data, arena.data);
    await writeFile(index, JSON.stringify({ weight_map: { 'lm_head.weight': '../elsewhere' } }));
    assert.match(await failure(source), /weight_map names a file elsewhere/);
  });

  it('takes the names of transformers 5 and saves under them', async () => {
    const rename = (name: string): string =>
      name
        .replace(/^visual\./, 'model.visual.')
        .replace(/^model\.(?!visual)/, 'model.language_model.');
    const source = await variant((tensors) =>
      [...tensors].map(([name, tensor]) => ({ name: rename(name), tensor })),
    );
    await cp(path.join(golden, 'config.v5.json'), path.join(source, 'config.json'));
    const { arena } = await loadCheckpoint(source);
    assert.deepEqual(arena.data, (await loadCheckpoint(golden)).arena.data);
    const target = path.join(scratch, 'saved');
    await saveCheckpoint(target, { from: source, arena });
    const saved = await readSafetensors(path.join(target, 'model.safetensors'));
    assert.ok(saved.has('model.language_model.layers.0.mlp.up_proj.weight'));
    assert.ok(saved.has('model.visual.merger.mlp.2.bias'));
    const config = JSON.parse(await readFile(path.join(target, 'config.json'), 'utf8')) as Json;
    const text = config['text_config'] as Json;
    assert.equal(text['rope_theta'], 1e6);
    assert.deepEqual(text['rope_scaling'], { type: 'mrope', mrope_section: [2, 3, 3] });
    assert.ok('rope_parameters' in text);
  });

  it('ties the head to the embedding, and accepts a head that was stored all the same', async () => {
    const source = await variant((tensors) => {
      tensors.set('lm_head.weight', tensors.get('model.embed_tokens.weight')!);
      return asStored(tensors);
    });
    const file = path.join(source, 'config.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...config, tie_word_embeddings: true }));
    const { arena } = await loadCheckpoint(source);
    assert.ok(!arena.has('lm_head.weight'));
    arena.tensor('model.embed_tokens.weight').data[0] = 9;
    await saveCheckpoint(source, { from: source, arena });
    const saved = await readSafetensors(path.join(source, 'model.safetensors'));
    assert.equal(saved.get('model.embed_tokens.weight')!.data[0], 9);
    assert.ok(!saved.has('lm_head.weight'));
  });

  /** A checkpoint whose config says that its head is tied, with that head in a shard before or behind the rest. */
  async function tiedVariant(
    head: Tensor,
    options: { first: boolean; nested?: boolean },
  ): Promise<string> {
    const source = await variant(asStored);
    const tensors = await readSafetensors(path.join(source, 'model.safetensors'));
    await rm(path.join(source, 'model.safetensors'));
    tensors.delete('lm_head.weight');
    const shards = [asStored(tensors), [{ name: 'lm_head.weight', tensor: head }]];
    const files = ['a.safetensors', 'b.safetensors'];
    const map: Record<string, string> = {};
    for (const [i, shard] of (options.first ? shards.toReversed() : shards).entries()) {
      await writeSafetensors(path.join(source, files[i]!), shard);
      for (const { name } of shard) map[name] = files[i]!;
    }
    const index = JSON.stringify({ metadata: { total_size: 1 }, weight_map: map });
    await writeFile(path.join(source, 'model.safetensors.index.json'), index);
    const name = options.nested === true ? 'config.v5.json' : 'config.json';
    const config = JSON.parse(await readFile(path.join(golden, name), 'utf8')) as Json;
    const tie = { tie_word_embeddings: true };
    const tied =
      options.nested === true
        ? { ...config, text_config: { ...(config['text_config'] as Json), ...tie } }
        : { ...config, ...tie };
    await writeFile(path.join(source, 'config.json'), JSON.stringify(tied));
    return source;
  }

  for (const first of [false, true]) {
    for (const nested of [false, true]) {
      const where = `${first ? 'first' : 'last'}, ${nested ? 'in text_config' : 'in the config'}`;
      it(`keeps a head that is said to be tied and differs, stored ${where}`, async () => {
        const stored = await readSafetensors(path.join(golden, 'model.safetensors'));
        const [head, embedding] = ['lm_head.weight', 'model.embed_tokens.weight'].map((name) =>
          stored.get(name)!,
        );
        const source = await tiedVariant(head!, { first, nested });
        const { arena, config, notes } = await loadCheckpoint(source);
        assert.equal(config.text.tieWordEmbeddings, false);
        assert.deepEqual(arena.tensor('lm_head.weight').data, head!.data);
        assert.deepEqual(arena.tensor('model.embed_tokens.weight').data, embedding!.data);
        assert.match(
          notes.join(),
          /tie_word_embeddings is set, but .* differ; both are kept, untied/,
        );
        const target = path.join(scratch, 'saved');
        await saveCheckpoint(target, { from: source, arena });
        const again = await loadCheckpoint(target);
        assert.deepEqual([again.notes, again.arena.data], [[], arena.data]);
      });
    }
  }

  it('drops a head that is only a copy of the embedding, from the index too', async () => {
    const stored = await readSafetensors(path.join(golden, 'model.safetensors'));
    const source = await tiedVariant(stored.get('model.embed_tokens.weight')!, { first: true });
    const { arena, notes } = await loadCheckpoint(source);
    assert.deepEqual([arena.has('lm_head.weight'), notes], [false, []]);
    const target = path.join(scratch, 'saved');
    await saveCheckpoint(target, { from: source, arena });
    const index = await readFile(path.join(target, 'model.safetensors.index.json'), 'utf8');
    assert.doesNotMatch(index, /lm_head/);
    assert.deepEqual((await loadCheckpoint(target)).arena.data, arena.data);
  });

  it('says what it does not read, and leaves it out of what it saves', async () => {
    const inverse = tensorOf('f32', [2], [1, 2]);
    const name = 'model.layers.0.self_attn.rotary_emb.inv_freq';
    const source = await variant((tensors) => [...asStored(tensors), { name, tensor: inverse }]);
    const { arena, notes } = await loadCheckpoint(source);
    assert.deepEqual(notes, [
      `${source}: ignored are tensors that the architecture does not have: ${name} (model.safetensors)`,
    ]);
    const target = path.join(scratch, 'saved');
    await saveCheckpoint(target, { from: source, arena });
    assert.deepEqual((await loadCheckpoint(target)).notes, []);
  });

  it('refuses a tensor that is stored under both of its names', async () => {
    const source = await variant((tensors) => {
      const tensor = tensors.get('model.norm.weight')!;
      return [...asStored(tensors), { name: 'model.language_model.norm.weight', tensor }];
    });
    assert.match(await failure(source), /language_model\.norm\.weight .* is stored twice/);
  });

  it('names every missing, misshapen and unknown tensor at once', async () => {
    const source = await variant((tensors) => {
      tensors.delete('model.layers.0.mlp.up_proj.weight');
      tensors.delete('visual.blocks.1.norm2.weight');
      tensors.set('model.norm.weight', tensorOf('f32', [3], [1, 2, 3]));
      tensors.set('model.layers.0.self_attn.q_proj.bias', tensorOf('i32', [1], [1]));
      tensors.set('model.layers.7.extra', tensorOf('f32', [1], [1]));
      return asStored(tensors);
    });
    const message = await failure(source);
    assert.ok(message.startsWith(source));
    assert.match(
      message,
      /missing tensors: visual\.blocks\.1\.norm2\.weight, model\.layers\.0\.mlp\.up_proj\.weight;/,
    );
    assert.match(message, /model\.norm\.weight \(model\.safetensors\) is \[3\], not \[64\]/);
    assert.match(message, /q_proj\.bias \(model\.safetensors\) has dtype i32/);
    assert.match(message, /does not have: model\.layers\.7\.extra/);
  });

  it('names a file that is truncated, missing, or not safetensors', async () => {
    const source = await variant(asStored);
    const file = path.join(source, 'model.safetensors');
    await truncate(file, 900_000);
    const message = await failure(source);
    assert.ok(message.startsWith(`${file}: tensor visual.merger.mlp.2.weight`), message);
    assert.match(message, /the file has 900000 bytes \(truncated\?\)/);
    await truncate(file, 1000);
    assert.match(await failure(source), /header claims \d+ bytes, the file has 1000/);
    await writeFile(file, 'not a checkpoint at all');
    assert.match(await failure(source), /model\.safetensors: its header claims/);
    await rm(file);
    assert.match(await failure(source), /neither model\.safetensors nor/);
    await rm(path.join(source, 'config.json'));
    assert.match(await failure(source), /config\.json: no such file/);
  });
});
