import { responseTokensOf } from '../../src/training/mini-batches.ts';
import type { AskOptions } from '../runtime/ref.ts';
import type { Reporter } from './reporter.ts';
import type { Learners } from './learners.ts';
import type { Task } from './prompt-feed.ts';

/** What the loss is measured with. */
interface HeldOut {
  readonly data: Task['data'];
  readonly learners: Learners;
  readonly reporter: Reporter;
  /** Validation prompts. */
  readonly prompts: number;
  /** Of these at a time. */
  readonly batchSize: number;
  /** Aborts when it is not worth its time any more. */
  readonly preemption: AbortSignal | undefined;
}

/**
 * The mean loss of the reference answers of the validation set, nats per token.
 *
 * @returns null without any, and when it is preempted
 */
export async function heldOutLoss(
  { data, learners, reporter, prompts, batchSize, preemption }: HeldOut,
  ask: AskOptions,
): Promise<number | null> {
  let [done, loss, tokens] = [0, 0, 0];
  using _ = reporter.phase({ name: 'validation', total: prompts, done: () => done });
  for (; done < prompts; done += batchSize) {
    if (preemption?.aborted === true) return null;
    const range = { start: done, end: Math.min(prompts, done + batchSize) };
    const { samples } = await data.ask.validationSolutions(range, ask);
    const count = responseTokensOf(samples);
    if (count === 0) continue;
    loss += count * (await learners.imitationLoss(samples, ask));
    tokens += count;
  }
  return tokens === 0 ? null : loss / tokens;
}
