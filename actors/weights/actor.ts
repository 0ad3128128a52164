import { CxmindError } from '../../src/errors.ts';
import { SharedVersion } from '../../transport/shared/version.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import { weightsProtocol, type WeightChunk, type WeightVersion } from './protocol.ts';

/** What a keeper of weights is made from: the process's own blocks. */
export interface WeightsProps {
  readonly weights: SharedArrayBuffer;
  readonly version: SharedArrayBuffer;
}

/** Writes the weights of a process that does not train them, where its other actors read them. */
export class WeightsActor implements Actor<typeof weightsProtocol> {
  readonly #weights: Float32Array;
  readonly #version: SharedVersion;

  constructor({ weights, version }: WeightsProps) {
    this.#weights = new Float32Array(weights);
    this.#version = new SharedVersion(version);
  }

  revise(): void {
    this.#version.current = 0;
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
  }

  publish({ version }: WeightVersion): void {
    this.#version.current = version;
  }
}

/** Makes the keeper of a process's weights. */
export const weightsActor = actorFactory(
  weightsProtocol,
  (props: WeightsProps) => new WeightsActor(props),
);
