import type { Answer } from '../../src/data/answer.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { Isolate } from '../runtime/isolate.ts';
import type { FunctionProps } from './function-thread.ts';
import { LOAD_LIMIT_MS, overTime, type Scorer } from './scorer.ts';

/** A JavaScript or TypeScript function on a thread that is ended where it hangs. */
export class ThreadScorer implements Scorer {
  readonly #isolate: Isolate;

  constructor(props: FunctionProps) {
    this.#isolate = new Isolate({
      name: props.spec,
      module: new URL('./function-thread.ts', import.meta.url),
      create: 'createScorer',
      props,
      startLimitMs: LOAD_LIMIT_MS,
    });
  }

  start(signal: AbortSignal): Promise<void> {
    return this.#isolate.start(signal);
  }

  async score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    try {
      await this.#isolate.start(signal);
      return (await this.#isolate.call(batch, limitMs, signal)) as Outcome[];
    } catch (thrown) {
      const error = asCxmindError(thrown);
      if (signal.aborted || error.code !== 'ACTOR_TIMEOUT') throw error;
      throw new CxmindError('REWARD_INVALID', overTime(limitMs), { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#isolate[Symbol.asyncDispose]();
  }
}
