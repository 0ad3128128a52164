import assert from 'node:assert/strict';
import {
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { loadAdapter } from '../../../src/model/checkpoint/adapter-files.ts';
import { loadCheckpoint } from '../../../src/model/checkpoint/checkpoint.ts';
import { mergeCheckpoint } from '../../../src/model/checkpoint/merge-checkpoint.ts';
import { mergedTensor } from '../../../src/model/adapters/merge.ts';
import { readSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { bf16ToNumber, numberToBf16 } from '../../../src/tensor/dtype.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const base = goldenPath('micro-vl');
const peft = goldenPath('lora/all');

describe('mergeCheckpoint', () => {
  let temporary: TemporaryDirectory;
  beforeEach(() => (temporary = new TemporaryDirectory()));
  afterEach(() => temporary[Symbol.dispose]());
  const path = (...names: string[]): string => join(temporary.path, ...names);
  const torchDtype = (directory: string): unknown =>
    (JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as { torch_dtype: unknown })
      .torch_dtype;

  for (const dtype of ['f32', 'bf16'] as const) {
    it(`merges adapters into the model that they name, stored as ${dtype}`, async () => {
      const { config, arena } = await loadCheckpoint(base);
      const adapter = await loadAdapter(peft, config);
      assert.equal(await mergeCheckpoint(peft, { out: path('out'), dtype }), path('out'));
      const stored = await readSafetensors(path('out', 'model.safetensors'));
      for (const [name, tensor] of stored) {
        const { data } = mergedTensor(name, arena, adapter);
        const got =
          tensor.dtype === 'bf16'
            ? Array.from(tensor.data as Uint16Array, bf16ToNumber)
            : tensor.data;
        const want =
          dtype === 'bf16' ? Array.from(data, (x) => bf16ToNumber(numberToBf16(x))) : data;
        assert.equal(tensor.dtype, dtype);
        assert.deepEqual([...(got as ArrayLike<number> as number[])], [...want], name);
      }
      assert.equal(torchDtype(path('out')), { f32: 'float32', bf16: 'bfloat16' }[dtype]);
      assert.equal((await loadCheckpoint(path('out'))).config.text.layers, config.text.layers);
    });
  }

  it('takes a base that has moved, and says so when there is none', async () => {
    cpSync(peft, path('actor', 'lora_adapter'), { recursive: true });
    await assert.rejects(mergeCheckpoint(path('actor'), {}), {
      code: 'CHECKPOINT_INVALID',
      message: /holds no model for the adapters in .*lora_adapter; --base says where it is/,
    });
    const written = await mergeCheckpoint(path('actor'), { base });
    assert.equal(written, path('actor', 'huggingface'));
    // The base is gone, but what was merged is there.
    await mergeCheckpoint(path('actor'), { out: path('again'), dtype: 'bf16' });
    assert.equal(torchDtype(path('again')), 'bfloat16');
  });

  it('casts weights in their own place', async () => {
    cpSync(base, path('actor', 'huggingface'), { recursive: true });
    await mergeCheckpoint(path('actor'), { dtype: 'bf16' });
    assert.equal(torchDtype(path('actor', 'huggingface')), 'bfloat16');
    const stored = await readSafetensors(path('actor', 'huggingface', 'model.safetensors'));
    assert.ok([...stored.values()].every(({ dtype }) => dtype === 'bf16'));
  });

  it('copies nothing but files', async () => {
    cpSync(base, path('actor', 'huggingface'), { recursive: true });
    const of = (name: string): string => path('actor', 'huggingface', name);
    symlinkSync('/dev/zero', of('LICENSE'));
    symlinkSync('nowhere', of('added.json'));
    mkdirSync(of('folder.json'));
    cpSync(of('tokenizer.json'), path('tokenizer.json'));
    rmSync(of('tokenizer.json'));
    symlinkSync(path('tokenizer.json'), of('tokenizer.json'));
    const written = readdirSync(await mergeCheckpoint(path('actor'), { out: path('out') }));
    assert.deepEqual(written.sort(), readdirSync(base).sort());
    assert.ok(lstatSync(path('out', 'tokenizer.json')).isFile());
  });

  it('tells what it cannot merge', async () => {
    const refusal = (folder: string): Promise<unknown> =>
      mergeCheckpoint(folder, {}).then(
        () => 'merged',
        (error: unknown) => (error as Error).message.replace(temporary.path, ''),
      );
    mkdirSync(path('actor', 'huggingface'), { recursive: true });
    assert.equal(await refusal(path('none')), '/none: is not there');
    assert.equal(
      await refusal(path('actor', 'huggingface')),
      '/actor/huggingface: is what merge writes; give the folder above it',
    );
    assert.equal(
      await refusal(path('actor')),
      '/actor: holds neither huggingface/ with weights nor lora_adapter/',
    );
    writeFileSync(path('actor', 'model_world_size_2_rank_1.pt'), 'PK');
    assert.match(
      String(await refusal(path('actor'))),
      /shards of PyTorch \(model_world_size_2_rank_1\.pt\)/,
    );
  });
});
