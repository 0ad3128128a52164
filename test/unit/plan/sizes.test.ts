import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { parameterCount } from '../../../src/model/weights/arena-layout.ts';
import { keptOnCard, keptOnHost, trainedLength } from '../../../src/plan/kept.ts';
import { sizedBy, sizedModel } from '../../../src/plan/sizes.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { qwen3b, qwen7b } from './configs.ts';

const whole = { lora: null, freezeVisionTower: false, learners: 1 };
const sizedAs = (file: unknown, planned = whole) =>
  sizedBy(decodeModelConfig(file, 'config.json'), planned, 'policy');

describe('the sizes of a run by config.json alone', () => {
  it('counts the parameters that the hub states for public models', () => {
    assert.equal(parameterCount(sizedAs(qwen3b).layout), 3_754_622_976);
    assert.equal(parameterCount(sizedAs(qwen7b).layout), 8_292_166_656);
  });

  it('has weights, gradients and moments by bytes a parameter', () => {
    const sizes = sizedAs(qwen7b);
    const { length } = sizes.layout;
    const policy = {
      ...{ ...sizes, name: 'policy' as const },
      ...{ computeDType: 'bf16' as const, isOffloaded: false, optimization: {} },
    };
    const reference = { computeDType: 'bf16' as const, isOffloaded: false };
    const run = { policy, critic: null, reference, learners: 1, isAhead: false };
    const bytes = (parts: readonly { readonly what: string; readonly bytes: number }[]) =>
      parts.map((part) => [part.what, part.bytes / length]);
    assert.deepEqual(bytes(keptOnCard(run)), [
      ['policy, bf16', 2],
      ["policy's weights in f32", 4],
      ["policy's gradients, f32", 4],
      ["policy's optimizer, f32", 8],
      ['reference, bf16', 2],
    ]);
    const eight = keptOnCard({ ...run, learners: 8, reference: null });
    assert.deepEqual(bytes(eight), [
      ['policy, bf16', 2],
      ["policy's weights in f32", 0.5],
      ["policy's gradients, f32", 4.5],
      ["policy's optimizer, f32", 1],
    ]);
    const onHost = { ...policy, computeDType: 'f32' as const };
    const exact = { ...reference, computeDType: 'f32' as const };
    assert.deepEqual(bytes(keptOnHost({ ...run, policy: onHost, reference: exact }, false)), [
      ['policy, f32', 4],
      ["policy's gradients, f32", 4],
      ["policy's optimizer, f32", 8],
      ['reference, f32', 4],
    ]);
  });

  it('trains adapters of rank times width, and leaves a frozen tower out', () => {
    const lora = { rank: 8, alpha: 16, targetModules: 'q_proj', excludeModules: '.*visual.*' };
    // q_proj is [2048, 2048] in 36 layers: A is [8, 2048] and B [2048, 8].
    assert.equal(trainedLength(sizedAs(qwen3b, { ...whole, lora } as never)), 36 * 2 * 8 * 2048);
    const frozen = sizedAs(qwen3b, { ...whole, freezeVisionTower: true });
    // The language model of the hub's 3B: embedding, 36 layers and the last norm.
    assert.equal(trainedLength(frozen), 3_085_938_688);
  });

  it('names the file and the field that a config.json lacks', async () => {
    using directory = new TemporaryDirectory();
    const { num_hidden_layers: _, ...rest } = qwen3b;
    writeFileSync(join(directory.path, 'config.json'), JSON.stringify(rest));
    const planned = { ...whole, path: directory.path, overrides: {} };
    await assert.rejects(sizedModel(planned as never, 'policy'), {
      code: 'CHECKPOINT_INVALID',
      message: /config\.json: .*num_hidden_layers/,
    });
  });
});
