/**
 * The weights that rollouts sample with: the learners' own, or a second arena that follows them while they are
 * stepped.
 */
import { CxmindError } from '../../src/errors.ts';
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
  /** Does work that lets go of the weights when newer ones come, and goes on with these. */
  lend<T>(work: (loan: WeightLoan) => Promise<T>, use: WeightUse): Promise<T>;
  /** Brings the newest weights, to work that goes on with them too. */
  renew(signal: AbortSignal): Promise<void>;
}

/** The weights that will do for some work. */
interface WeightUse {
  readonly oldest?: number;
  readonly signal: AbortSignal;
}

/** Weights that are lent to some work until newer ones come. */
export class WeightLoan {
  #version: number;
  #recall = new AbortController();
  #returned = Promise.withResolvers<undefined>();
  #renewed = Promise.withResolvers<number>();

  constructor(version: number) {
    this.#version = version;
  }

  get version(): number {
    return this.#version;
  }

  /** Aborts when the work is to stop reading the weights, and then to call `next`. */
  get recalled(): AbortSignal {
    return this.#recall.signal;
  }

  /** Says that the weights are not read any more; resolves once there are newer ones. */
  async next(signal: AbortSignal): Promise<void> {
    this.#returned.resolve(undefined);
    await together(this.#renewed.promise, signal);
  }

  /** Recalls the weights; resolves once the work has let go of them, or has ended. */
  recall(): Promise<unknown> {
    this.#recall.abort(new CxmindError('RUNTIME_CANCELLED', 'newer weights come'));
    return this.#returned.promise;
  }

  /** Lends newer weights to the work. */
  renew(version: number): void {
    const { resolve } = this.#renewed;
    this.#version = version;
    this.#recall = new AbortController();
    this.#returned = Promise.withResolvers();
    this.#renewed = Promise.withResolvers();
    resolve(version);
  }

  /** Ends a loan: the work has ended, or there will be no newer weights. */
  end(failure?: unknown): void {
    this.#returned.resolve(undefined);
    if (failure === undefined) return;
    this.#renewed.promise.catch(() => undefined);
    this.#renewed.reject(failure);
  }
}

/** The learners' own weights, for rollouts that are done before the learners step them. */
export function weightsInPlace(weights: WeightSync): RolloutWeights {
  return {
    use: (work) => work(weights.version),
    lend: (work) => work(new WeightLoan(weights.version)),
    renew: () => Promise.resolve(),
  };
}

/**
 * A second arena for rollouts, beside the one that learners step. The two alternate: work goes on with the weights of one
 * version while learners make the next, and takes that up when it begins anew.
 *
 * Work that begins gets the newest weights there are. While learners step theirs, these cannot be copied; then older ones
 * do, as far as `oldest` allows. New weights wait until no work reads the old ones. Work that the weights are lent to
 * lets go of them at once, and goes on with the new ones.
 */
export class TrailingWeights implements RolloutWeights {
  readonly #learned: WeightSync;
  readonly #copy: WeightSync;
  readonly #collect: () => Promise<void>;
  readonly #turns = new Turns();
  /** Settles when no work but that of loans reads the copy. */
  #working: Promise<unknown> = Promise.resolve();
  readonly #loans = new Set<WeightLoan>();

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

  async lend<T>(work: (loan: WeightLoan) => Promise<T>, use: WeightUse): Promise<T> {
    const loan = await this.#turns.run(async () => {
      await this.#bring(use);
      const lent = new WeightLoan(this.#copy.version);
      this.#loans.add(lent);
      return lent;
    });
    try {
      use.signal.throwIfAborted();
      return await work(loan);
    } finally {
      this.#loans.delete(loan);
      loan.end();
    }
  }

  renew(signal: AbortSignal): Promise<void> {
    return this.#turns.run(() => this.#bring({ signal }));
  }

  async #bring({ oldest = this.#learned.version, signal }: WeightUse): Promise<void> {
    const [learned, copy] = [this.#learned, this.#copy];
    while (learned.published !== null && copy.version < oldest) {
      await together(learned.published, signal);
    }
    if (learned.published !== null || copy.version === learned.version) return;
    let recalled: readonly WeightLoan[] = [];
    try {
      await copy.copy(learned, async () => {
        recalled = [...this.#loans];
        await Promise.all([this.#working, ...recalled.map((loan) => loan.recall())]);
        await this.#collect();
      });
    } catch (error) {
      for (const loan of recalled) loan.end(error);
      throw error;
    }
    for (const loan of recalled) loan.renew(copy.version);
  }
}
