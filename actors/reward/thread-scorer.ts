import type { Answer } from '../../src/data/row.ts';
import { asCxmindError } from '../../src/errors.ts';
import type { Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { Logger } from '../runtime/actor.ts';
import { Sandbox } from '../runtime/sandbox.ts';
import { EXIT_LIMIT_MS, LOAD_LIMIT_MS, logPrinted, titleOf } from '../user-code/user-code.ts';
import { loadError, type FunctionProps, type Scorer } from './scorer.ts';

/** A JavaScript or TypeScript function on a thread that is ended where it hangs. */
export class ThreadScorer implements Scorer {
  readonly #props: FunctionProps;
  readonly #sandbox: Sandbox;

  constructor(props: FunctionProps, logger: Logger) {
    this.#props = props;
    this.#sandbox = new Sandbox({
      name: titleOf(props.source),
      module: new URL('./function-thread.ts', import.meta.url),
      create: 'createScorer',
      props,
      startLimitMs: LOAD_LIMIT_MS,
      exitLimitMs: EXIT_LIMIT_MS,
      onOutput: (stream) => logPrinted(stream, logger, 'reward function'),
      onLoss: ({ message }) => logger.warn({ why: message }, 'reward function lost'),
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#sandbox.start(signal);
    } catch (thrown) {
      if (signal.aborted || asCxmindError(thrown).code === 'REWARD_INVALID') throw thrown;
      throw loadError(this.#props.source, thrown);
    }
  }

  async score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    await this.start(signal);
    return (await this.#sandbox.call(batch, limitMs, signal)) as Outcome[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sandbox[Symbol.asyncDispose]();
  }
}
