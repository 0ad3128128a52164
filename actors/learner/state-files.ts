import { join } from 'node:path';
import { CxmindError } from '../../src/errors.ts';
import { contentLength, type Arena } from '../../src/model/arena.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { loadValueCheckpoint } from '../../src/model/value-checkpoint.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.ts';
import type { AdamWState } from '../../src/optim/adamw.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';

const stateFile = (directory: string): string => join(directory, 'optimizer.safetensors');

/**
 * Writes what a run goes on from, in full precision: `optimizer.safetensors` with `weights`, `m` and `v`, flat,
 * and `step`. Nothing in it tells by how many learners it was made.
 */
export async function writeLearnerState(
  directory: string,
  weights: Arena,
  { m, v, step }: AdamWState,
): Promise<void> {
  const flat = (data: Float32Array) => ({ dtype: 'f32', shape: [data.length], data }) as const;
  const content = weights.data.subarray(0, contentLength(weights.layout));
  await writeSafetensors(stateFile(directory), [
    { name: 'weights', tensor: flat(content) },
    { name: 'm', tensor: flat(m) },
    { name: 'v', tensor: flat(v) },
    { name: 'step', tensor: tensorOf('i64', [1], [BigInt(step)]) },
  ]);
}

/**
 * Reads it back: the weights into the arena.
 *
 * @throws CHECKPOINT_INVALID when it does not fit the model
 */
export async function readLearnerState(directory: string, weights: Arena): Promise<AdamWState> {
  const file = stateFile(directory);
  const tensors = await readSafetensors(file);
  const flat = (name: string): Float32Array => {
    const data = tensors.get(name)?.data;
    if (data instanceof Float32Array && data.length === contentLength(weights.layout)) return data;
    throw new CxmindError('CHECKPOINT_INVALID', `${file}: ${name} does not fit the model`);
  };
  weights.data.set(flat('weights'));
  return { m: flat('m'), v: flat('v'), step: Number(tensors.get('step')?.data[0] ?? 0) };
}

/** Reads the weights of a checkpoint's Hugging Face directory into the arena. */
export async function readWeights(directory: string, weights: Arena): Promise<void> {
  const { arena } = await loadCheckpoint(join(directory, 'huggingface'));
  weights.data.set(arena.data.subarray(0, contentLength(weights.layout)));
}

/** The same of a value model's. */
export async function readValueWeights(directory: string, weights: Arena): Promise<void> {
  const { arena } = await loadValueCheckpoint(join(directory, 'huggingface'), { seed: 0 });
  weights.data.set(arena.data.subarray(0, contentLength(weights.layout)));
}
