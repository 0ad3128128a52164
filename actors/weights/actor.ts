import { CxmindError } from '../../src/errors.ts';
import { viewOf } from '../../src/tensor/dtype.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { SharedVersion } from '../../transport/shared/version.ts';
import type { ModelProps, WorkingProps } from '../model-props.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import { weightsProtocol, type WeightChunk, type WeightVersion } from './protocol.ts';

/** Props of a keeper of weights: the blocks of its process. */
export type WeightsProps = Pick<ModelProps, 'weights' | 'version' | 'working'>;

/**
 * A keeper of weights: writes those of a process that does not train them, and their working copy, where the other
 * actors of the process read them.
 */
export class WeightsActor implements Actor<typeof weightsProtocol> {
  readonly #weights: Float32Array;
  readonly #working: Tensor | null;
  readonly #version: SharedVersion;

  constructor({ weights, version, working }: WeightsProps) {
    this.#weights = new Float32Array(weights);
    this.#working = workingTensor(working, this.#weights.length);
    this.#version = new SharedVersion(version);
  }

  revise(): void {
    this.#version.beginWrite();
  }

  write({ offset, values }: WeightChunk): void {
    if (offset < 0 || offset + values.data.length > this.#weights.length) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `weights: ${values.data.length} elements from ${offset} on, of ${this.#weights.length}`,
      );
    }
    if (this.#version.current !== 0) {
      throw new CxmindError('INTERNAL', 'weights: written while they may be read');
    }
    this.#weights.set(values.data, offset);
    letGo(this.#weights.subarray(offset, offset + values.data.length));
    if (this.#working === null) return;
    writeFloats(this.#working, offset, values.data);
    letGo(this.#working.data.subarray(offset, offset + values.data.length));
  }

  publish({ version }: WeightVersion): void {
    this.#version.publish(version);
  }
}

/** The working copy in this process's memory; null where a device has its own, filled from the weights. */
function workingTensor(working: WorkingProps | undefined, length: number): Tensor | null {
  if (working === undefined || 'onDevice' in working) return null;
  const { dtype, weights } = working;
  return { dtype, shape: [length], data: viewOf(dtype, weights, 0, length) };
}

/** Makes the keeper of a process's weights. */
export const weightsActor = actorFactory(
  weightsProtocol,
  (props: WeightsProps) => new WeightsActor(props),
);
