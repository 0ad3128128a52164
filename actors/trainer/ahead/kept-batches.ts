/**
 * The file of a checkpoint that has the responses sampled ahead of it, `rollouts.safetensors`: the message that a host
 * would be sent, `body`, and its tensors' bytes, `0`, `1` and so on.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { decodeJson } from '../../../src/check/json.ts';
import { whole } from '../../../src/check/scalars.ts';
import { CxmindError, messageOf } from '../../../src/errors.ts';
import { readSafetensors, writeSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { vector } from '../../../src/tensor/tensor.ts';
import { decodeBody, encodeBody } from '../../../transport/codec.ts';
import { SampledCall } from './answers.ts';

const FILE = 'rollouts.safetensors';

/** The responses of a batch that a checkpoint keeps, call by call. */
const KeptBatch = t.type({ step: whole, calls: t.array(SampledCall) });
export interface KeptBatch extends t.TypeOf<typeof KeptBatch> {}

/** Writes responses that were sampled ahead into a checkpoint's folder; none, no file. */
export async function writeKept(directory: string, batches: readonly KeptBatch[]): Promise<void> {
  if (batches.length === 0) return;
  const { bytes, frames } = encodeBody(batches);
  await writeSafetensors(join(directory, FILE), [
    { name: 'body', tensor: vector('u8', bytes) },
    ...frames.map((frame, i) => ({ name: String(i), tensor: vector('u8', frame) })),
  ]);
}

/**
 * Reads the responses that a checkpoint kept.
 *
 * @throws CHECKPOINT_INVALID naming the file when `writeKept` could not have made it
 */
export async function readKept(directory: string): Promise<readonly KeptBatch[]> {
  const file = join(directory, FILE);
  if (!existsSync(file)) return [];
  const tensors = await readSafetensors(file);
  const bytesOf = (name: string): Uint8Array => {
    const tensor = tensors.get(name);
    if (tensor?.dtype === 'u8') return tensor.data as Uint8Array;
    throw new CxmindError('CHECKPOINT_INVALID', `${file}: there is no u8 tensor ${name}`);
  };
  const frames = Array.from({ length: tensors.size - 1 }, (_, i) => bytesOf(String(i)));
  let batches: unknown;
  try {
    batches = decodeBody({ bytes: bytesOf('body'), frames });
  } catch (cause) {
    throw new CxmindError('CHECKPOINT_INVALID', `${file}: ${messageOf(cause)}`, { cause });
  }
  return decodeJson(t.array(KeptBatch), batches, file);
}
