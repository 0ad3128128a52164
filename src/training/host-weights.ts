import type { Arena } from '../model/weights/arena.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { letGo } from '../tensor/file-memory.ts';
import { writeFloats } from '../tensor/numbers.ts';
import { rows, type Tensor } from '../tensor/tensor.ts';
import type { Sharing } from './exchange.ts';
import type { SteppedWeights } from './stepped-weights.ts';

/**
 * Weights that are stepped in this process's memory, where they are also loaded, saved and sent from. A device with
 * memory of its own steps them slice after slice.
 */
export class HostWeights implements SteppedWeights {
  readonly own: Tensor<'f32'>;
  readonly ownWorking: Tensor<FloatDType> | null;
  readonly #weights: Arena;
  readonly #working: Arena<FloatDType>;
  readonly #sharing: Sharing;

  /** @param working the weights that models compute with: the same, or a copy of them in another dtype */
  constructor(weights: Arena, working: Arena<FloatDType>, sharing: Sharing) {
    const { rank, size } = sharing.group;
    const part = weights.data.length / size;
    const ownOf = <D extends FloatDType>(arena: Arena<D>): Tensor<D> =>
      rows(arena.flat, rank * part, (rank + 1) * part);
    this.#weights = weights;
    this.#working = working;
    this.#sharing = sharing;
    this.own = ownOf(weights);
    this.ownWorking = working === weights ? null : ownOf(working);
  }

  async spread(): Promise<void> {
    const { group, sharesWeights } = this.#sharing;
    if (sharesWeights) await group.barrier();
    else {
      await group.allGather(this.own, this.#weights.flat);
      this.#refresh();
    }
    letGo(this.#weights.data);
  }

  async take(): Promise<void> {
    const { group, sharesWeights } = this.#sharing;
    if (!sharesWeights) await group.broadcast(this.#weights.flat, 0);
    if (!sharesWeights || group.rank === 0) this.#refresh();
    if (sharesWeights) await group.barrier();
    letGo(this.#weights.data);
  }

  /** Does nothing: the weights are there. */
  collect(): Promise<void> {
    return Promise.resolve();
  }

  /** Writes the whole working copy again. */
  #refresh(): void {
    if (this.#working === this.#weights) return;
    writeFloats(this.#working.flat, 0, this.#weights.data);
    letGo(this.#working.data);
  }

  [Symbol.dispose](): void {}
}
