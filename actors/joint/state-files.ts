/**
 * The file of a checkpoint that training resumes from, `optimizer.safetensors`, in full precision.
 *
 * It has `weights`, the trained ones, and the optimizer's arrays `m`, `v` and `c`, all flat, and `step`. It does not
 * depend on the number of ranks.
 */
import { join } from 'node:path';
import { CxmindError } from '../../src/errors.ts';
import type { Arena } from '../../src/model/weights/arena.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import type { AdamWState, StateTensor } from '../../src/optim/adamw.ts';
import { fileBuffer, letGo } from '../../src/tensor/file-memory.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';

const stateFile = (directory: string): string => join(directory, 'optimizer.safetensors');

const optimizerArrays = ['m', 'v', 'c'] as const;

/** Writes the trained weights and the optimizer's state. */
export async function writeState(
  directory: string,
  trained: Arena,
  state: AdamWState,
): Promise<void> {
  const arrays = optimizerArrays.flatMap((name) => {
    const tensor = state[name];
    return tensor === undefined ? [] : [{ name, tensor }];
  });
  await writeSafetensors(stateFile(directory), [
    { name: 'weights', tensor: trained.content },
    ...arrays,
    { name: 'step', tensor: tensorOf('i64', [1], [BigInt(state.step)]) },
  ]);
}

/**
 * Reads the file: the weights into the arena, the optimizer's state as the result.
 *
 * @param isOffloaded whether the arrays are put in a file
 * @throws CHECKPOINT_INVALID when the state does not fit what is trained
 */
export async function readState(
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
    if (isFloat && tensor.data.length === trained.content.data.length) {
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
