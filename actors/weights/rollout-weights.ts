import { Turns } from '../../src/turns.ts';
import { together } from '../runtime/together.ts';
import type { WeightSync } from './sync.ts';

/** The weights that rollouts sample with: those of the learners, or a copy of them that lags behind. */
export interface RolloutWeights {
  /**
   * Does work with weights that stay as they are until it ends.
   *
   * @param work       gets their version
   * @param use.oldest version that will do; the newest where it is absent
   * @throws the signal's reason when it aborts
   */
  use<T>(work: (version: number) => Promise<T>, use: WeightUse): Promise<T>;
}

/** The weights that will do for some work. */
interface WeightUse {
  readonly oldest?: number;
  readonly signal: AbortSignal;
}

/** The learners' own weights, for rollouts that are done before the learners step them. */
export function weightsInPlace(weights: WeightSync): RolloutWeights {
  return { use: (work) => work(weights.version) };
}

/**
 * A second arena for rollouts, beside the one that learners step. The two alternate: work goes on with the weights of one
 * version while learners make the next, and takes that up when it begins anew.
 *
 * Work that begins gets the newest weights there are. While learners step theirs, these cannot be copied; then older ones
 * do, as far as `oldest` allows. New weights wait until no work reads the old ones.
 */
export class TrailingWeights implements RolloutWeights {
  readonly #learned: WeightSync;
  readonly #copy: WeightSync;
  readonly #collect: () => Promise<void>;
  readonly #turns = new Turns();
  /** Settles when nothing works with the copy. */
  #working: Promise<unknown> = Promise.resolve();

  /**
   * @param learned the learners' weights
   * @param copy    the weights that rollouts read
   * @param collect copies the learners' weights to this process's memory, where they are stepped elsewhere
   */
  constructor(learned: WeightSync, copy: WeightSync, collect: () => Promise<void>) {
    this.#learned = learned;
    this.#copy = copy;
    this.#collect = collect;
  }

  async use<T>(work: (version: number) => Promise<T>, use: WeightUse): Promise<T> {
    const begun = await this.#turns.run(async () => {
      await this.#bring(use);
      use.signal.throwIfAborted();
      const result = work(this.#copy.version);
      this.#working = Promise.allSettled([this.#working, result]).then(() => undefined);
      // The turn ends as the work begins, so that other work with the same weights may join it.
      return { result };
    });
    return await begun.result;
  }

  async #bring({ oldest = this.#learned.version, signal }: WeightUse): Promise<void> {
    const [learned, copy] = [this.#learned, this.#copy];
    while (learned.published !== null && copy.version < oldest) {
      await together(learned.published, signal);
    }
    if (learned.published !== null || copy.version === learned.version) return;
    await copy.copy(learned, async () => {
      await this.#working;
      await this.#collect();
    });
  }
}
