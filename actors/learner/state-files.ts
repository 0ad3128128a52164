import { join } from 'node:path';
import { CxmindError } from '../../src/errors.ts';
import { loadAdapter } from '../../src/model/checkpoint/adapter-files.ts';
import type { Arena } from '../../src/model/weights/arena.ts';
import { contentLength } from '../../src/model/weights/arena-layout.ts';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import { loadValueCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import type { AdamWState, StateTensor } from '../../src/optim/adamw.ts';
import { fileBuffer, letGo } from '../../src/tensor/file-memory.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import { tensorOf, type Tensor } from '../../src/tensor/tensor.ts';
import type { SharedWeights } from '../model-props.ts';

const stateFile = (directory: string): string => join(directory, 'optimizer.safetensors');

const optimizerArrays = ['m', 'v', 'c'] as const;

/**
 * Writes what a run goes on from, in full precision: `optimizer.safetensors` with `weights`, those that are trained,
 * and the optimizer's arrays, flat, and `step`. Nothing in it tells by how many learners it was made.
 */
export async function writeLearnerState(
  directory: string,
  trained: Arena,
  state: AdamWState,
): Promise<void> {
  const arrays = optimizerArrays.flatMap((name) => {
    const tensor = state[name];
    return tensor === undefined ? [] : [{ name, tensor }];
  });
  await writeSafetensors(stateFile(directory), [
    { name: 'weights', tensor: flat(trained.data.subarray(0, contentLength(trained.layout))) },
    ...arrays,
    { name: 'step', tensor: tensorOf('i64', [1], [BigInt(state.step)]) },
  ]);
}

/**
 * Reads it back: the weights into the arena.
 *
 * @param isOffloaded whether the arrays lie in a file again
 * @throws CHECKPOINT_INVALID when it does not fit what is trained
 */
export async function readLearnerState(
  directory: string,
  trained: Arena,
  isOffloaded: boolean,
): Promise<AdamWState> {
  const file = stateFile(directory);
  const tensors = await readSafetensors(file, isOffloaded ? fileBuffer : sharedBuffer);
  const arrayOf = (name: string): StateTensor | undefined => {
    const tensor = tensors.get(name);
    if (tensor === undefined) return undefined;
    const isFloat = tensor.dtype === 'f32' || tensor.dtype === 'bf16';
    if (isFloat && tensor.data.length === contentLength(trained.layout)) {
      return tensor as StateTensor;
    }
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${file}: ${name} does not fit what is trained; model, lora and freeze_vision_tower have to be as they were`,
    );
  };
  const required = (name: string): StateTensor => {
    const tensor = arrayOf(name);
    if (tensor !== undefined) return tensor;
    throw new CxmindError('CHECKPOINT_INVALID', `${file}: there is no ${name}`);
  };
  const weights = required('weights');
  trained.data.set(weights.data);
  for (const { data } of [weights, trained]) letGo(data);
  const c = arrayOf('c');
  const step = Number(tensors.get('step')?.data[0] ?? 0);
  return { m: required('m'), v: required('v'), ...(c && { c }), step };
}

function flat(data: Float32Array): Tensor<'f32'> {
  return { dtype: 'f32', shape: [data.length], data };
}

/** Where a checkpoint keeps adapters, in PEFT's form. */
export const ADAPTER_FOLDER = 'lora_adapter';

/** Reads what is trained out of a checkpoint without a learner's state. */
export async function readTrained(
  directory: string,
  config: ModelConfig,
  { arena, adapter, trained }: SharedWeights,
): Promise<void> {
  const saved =
    adapter === null
      ? (await loadCheckpoint(join(directory, 'huggingface'))).arena
      : (await loadAdapter(join(directory, ADAPTER_FOLDER), config)).arena;
  const whole = adapter === null ? arena : trained;
  whole.data.set(saved.data.subarray(0, contentLength(whole.layout)));
}

/** The same of a value model's. */
export async function readValueWeights(directory: string, weights: Arena): Promise<void> {
  const { arena } = await loadValueCheckpoint(join(directory, 'huggingface'), { seed: 0 });
  weights.data.set(arena.data.subarray(0, contentLength(weights.layout)));
}
