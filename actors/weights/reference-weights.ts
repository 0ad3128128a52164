import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { CxmindError } from '../../src/errors.ts';
import type { Arena } from '../../src/model/weights/arena.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { fileBuffer, isInFile, letGo } from '../../src/tensor/file-memory.ts';
import { roundTo } from '../../src/tensor/half.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import { mixWeights } from '../../src/algorithms/reference-mix.ts';
import { FROZEN_VERSION } from '../model-props.ts';
import { pairedParts } from './paired-parts.ts';
import type { WeightSync } from './sync.ts';

/** Name of the file in a checkpoint. */
const FILE = 'weights.safetensors';

/** Weights of the reference that may move, and the policy's that they move towards: the trained part of each. */
interface MovingWeights {
  readonly own: Arena;
  readonly policy: Arena;
  /** Dtype whose numbers the reference's weights are rounded to. */
  readonly storage: FloatDType;
}

/**
 * The reference's weights, for every process that reads them: those that training started from, until they are moved.
 *
 * They are mixed in this process's memory, where the policy's are collected. Devices and other processes get them as a
 * new version. A checkpoint has a folder `reference` once they have moved.
 */
export class ReferenceWeights implements AsyncDisposable {
  readonly sync: WeightSync;
  /** Null where they never move: beside adapters, and where the only copy is in the dtype that they compute in. */
  readonly #moving: MovingWeights | null;

  /** @param sync of the weights, published already */
  constructor(sync: WeightSync, moving: MovingWeights | null) {
    this.sync = sync;
    this.#moving = moving;
  }

  /** True when they are not those that training started from any more. */
  get hasMoved(): boolean {
    return this.sync.version > FROZEN_VERSION;
  }

  /** Moves them towards the policy's, which have to be in this process's memory. @param alpha the policy's share */
  async mix(alpha: number): Promise<void> {
    const { own, policy, storage } = this.#movable();
    await this.sync.revise();
    for (const [mixed, towards] of pairedParts(own, policy)) {
      mixWeights(mixed, towards, alpha);
      roundTo(storage, mixed);
      await setImmediate();
    }
    this.sync.publish(this.sync.version + 1, true);
  }

  /** Saves them in full precision, flat, to `weights.safetensors`; a run resumes from there. */
  async save(request: { readonly directory: string; readonly modelOnly: boolean }): Promise<void> {
    const { directory, modelOnly } = request;
    if (modelOnly) return;
    const { own } = this.#movable();
    await mkdir(directory, { recursive: true });
    await writeSafetensors(join(directory, FILE), [{ name: 'weights', tensor: own.content }]);
    letGo(own.content.data);
  }

  /** Restores saved ones. @throws CHECKPOINT_INVALID when they do not fit the model */
  async restore({ directory }: { readonly directory: string }): Promise<void> {
    const { own } = this.#movable();
    const file = join(directory, FILE);
    const memory = isInFile(own.buffer) ? fileBuffer : sharedBuffer;
    const weights = existsSync(file)
      ? (await readSafetensors(file, memory)).get('weights')
      : undefined;
    if (weights?.dtype !== 'f32' || weights.data.length !== own.content.data.length) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `${file}: there are no weights that fit the reference; the model, and what is trained of it, have to be as ` +
          'they were',
      );
    }
    await this.sync.revise();
    own.data.set(weights.data as Float32Array);
    for (const { data } of [own, weights]) letGo(data);
    this.sync.publish(this.sync.version + 1, true);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sync[Symbol.asyncDispose]();
  }

  #movable(): MovingWeights {
    if (this.#moving !== null) return this.#moving;
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      'a reference that moved, in a run that keeps it where training started: worker.ref.sync_ref_model and ' +
        'worker.actor.model.lora have to be as they were',
    );
  }
}
