import { meanOf } from '../../../src/algorithms/token-statistics.ts';
import { CxmindError } from '../../../src/errors.ts';
import type { Metrics } from '../../../src/metrics.ts';
import { together } from '../../runtime/together.ts';
import type { ResumePoint, RunState } from '../../run-folder/checkpoints.ts';
import { Answers } from './answers.ts';
import {
  answersBy,
  sampleBatch,
  type GroupSampler,
  type ScoredBatch,
  type TaskStates,
  type SampledBatch,
  type SampledResponse,
} from '../batch.ts';
import type { BatchSource } from './batch-source.ts';
import type { KeptBatch } from './kept-batches.ts';
import type { StepContext } from '../context.ts';
import { answersInParts } from './partial-rollouts.ts';
import { versionAfter } from '../schedule.ts';
import { Stopwatch } from '../report/timeline.ts';

/** A batch that has been begun, and not been trained on. */
interface BatchAhead {
  readonly step: number;
  readonly answers: Answers;
  /** The batch's own, as it is not of the step that runs meanwhile. */
  readonly clock: Stopwatch;
  readonly sampled: Promise<SampledBatch>;
  readonly scored: Promise<ScoredBatch>;
}

/** The end of a batch, after which the next one may be sampled, and scored. */
interface EndOfBatch {
  readonly sampled: Promise<unknown>;
  readonly taskStates: Promise<TaskStates>;
}

/** The run that batches are sampled for. */
interface AheadOptions {
  /** Steps of the whole run. */
  readonly steps: number;
  /** The place that the run begins at. */
  readonly point: ResumePoint;
  /** Responses that the checkpoint kept, which the run resumed from. */
  readonly kept: readonly KeptBatch[];
}

/**
 * Rollouts ahead of the learners: batches are sampled and scored while earlier ones are trained on.
 *
 * With `trainer.max_staleness = S`, the batch of step j may begin once step j - 1 - S has updated the policy. It takes
 * the newest weights that can be copied then (`weights/rollout-weights.ts`), so at most S updates lie between the weights
 * that sample a batch and those that its update starts from.
 *
 * ```
 * S = 1       step k                            step k + 1
 * learners  | old, ref | update to version k+1 | old, ref | update to k+2 …
 * rollouts  | batch k+1 with version k  |      | batch k+2 with version k+1 …
 * rewards            scoring of batch k+1 | …
 * ```
 *
 * Batches are sampled one after the other, and scored in that order, since gates and places in the data pass from batch
 * to batch. With S = 1 the version that samples a batch is always the same, and a run repeats to the bit. With more it
 * depends on who is faster.
 *
 * A checkpoint keeps the responses that its own weights could not sample again, so saving waits until these are there. A
 * resumed run trains on them; whatever else was in flight it samples anew.
 *
 * @see Noukhovitch et al., Asynchronous RLHF, arXiv:2410.18252; verl's one_step_off_policy
 */
export class RolloutsAhead implements BatchSource {
  readonly #context: StepContext;
  readonly #steps: number;
  readonly #kept: readonly KeptBatch[];
  readonly #ended = new AbortController();
  /** Batches in the order of steps. */
  readonly #batches: BatchAhead[] = [];
  /** The newest step that has updated the policy. */
  #done: number;
  #begun: number;
  /** The end of the batch that was begun last. */
  #last: EndOfBatch;
  /** Groups that were dropped since the last step because they were too stale. */
  #stale = 0;

  constructor(context: StepContext, { steps, point, kept }: AheadOptions) {
    const signal = AbortSignal.any([context.signal, this.#ended.signal]);
    this.#context = { ...context, signal };
    this.#steps = steps;
    this.#kept = kept;
    this.#done = point.step;
    this.#begun = point.step;
    this.#last = { sampled: Promise.resolve(), taskStates: Promise.resolve(point.state) };
  }

  async take(
    { signal }: StepContext,
    _: RunState,
    step: number,
    clock: Stopwatch,
  ): Promise<SampledBatch> {
    this.#begin();
    const ahead = this.#batches.find((batch) => batch.step === step)!;
    const batch = await clock.time('wait_prev_gen', () => together(ahead.sampled, signal));
    clock.include(ahead.clock);
    this.#stale = ahead.answers.stale;
    return {
      responses: batch.responses,
      scoreResponses: (scoring) => together(ahead.scored, scoring),
    };
  }

  continueAfter(step: number): void {
    this.#done = step;
    while (this.#batches[0] !== undefined && this.#batches[0].step <= step) this.#batches.shift();
    const { plan, rolloutWeights, signal } = this.#context;
    if (plan.step.partialRollout !== null) {
      // A failure ends the work that waits for these weights.
      rolloutWeights.renew(signal).catch(() => undefined);
    }
    this.#begin();
  }

  async keptAfter(step: number): Promise<readonly KeptBatch[]> {
    const saved = versionAfter(this.#context.plan.step, step);
    const older = this.#batches.filter(
      (batch) => batch.step > step && this.#oldestFor(batch.step) < saved,
    );
    await Promise.allSettled(older.map(({ sampled }) => sampled));
    return older.map(({ step, answers }) => ({ step, calls: answers.calls }));
  }

  metrics(scored: readonly SampledResponse[]): Metrics {
    const { plan, weights } = this.#context;
    const staleness = scored.map(({ group }) => weights.version - group.policyVersion);
    return {
      'rollout/staleness': meanOf(staleness),
      'rollout/staleness_max': Math.max(...staleness),
      'rollout/stale_groups': this.#stale,
      ...(plan.step.partialRollout !== null && partialMetrics(scored, weights.version)),
    };
  }

  /** Begins every batch that may begin. */
  #begin(): void {
    const { plan, preemption } = this.#context;
    const last = Math.min(this.#steps, this.#done + 1 + plan.step.maxStaleness);
    while (this.#begun < last && !preemption.aborted) {
      this.#begun++;
      const batch = this.#sample(this.#begun, this.#last);
      this.#batches.push(batch);
      this.#last = {
        sampled: batch.sampled,
        taskStates: batch.scored.then(({ taskStates }) => taskStates),
      };
      this.#last.taskStates.catch(() => undefined);
    }
  }

  #sample(step: number, before: EndOfBatch): BatchAhead {
    const context = this.#context;
    const { plan, rolloutWeights, timeline, signal } = context;
    const clock = new Stopwatch(timeline, { step, lane: 'rollouts ahead' });
    const oldest = this.#oldestFor(step);
    const calls = this.#kept.find((batch) => batch.step === step)?.calls ?? [];
    const answers = new Answers(calls, oldest);
    const sampleBy = (ask: GroupSampler): Promise<SampledBatch> =>
      sampleBatch(context, before.taskStates, step, clock, (prompts, request) =>
        answers.answer(prompts, request, ask),
      );
    const sampled = before.sampled.then(() =>
      plan.step.partialRollout === null
        ? rolloutWeights.use((version) => sampleBy(answersBy(context, version)), { oldest, signal })
        : sampleBy(answersInParts(context, oldest)),
    );
    const scored = sampled.then(({ scoreResponses }) => scoreResponses(signal));
    // A failure is reported to the step that takes the batch, if one does.
    scored.catch(() => undefined);
    return { step, answers, clock, sampled, scored };
  }

  /** The oldest version of the weights that may sample the batch of a step. */
  #oldestFor(step: number): number {
    const { plan } = this.#context;
    return versionAfter(plan.step, step - 1 - plan.step.maxStaleness);
  }

  /** Aborts the batches in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new CxmindError('RUNTIME_CANCELLED', 'the run needs no more rollouts'));
    await Promise.allSettled(this.#batches.map(({ scored }) => scored));
  }
}

/** The mean staleness of tokens, and the share of responses that several versions of the weights sampled. */
function partialMetrics(scored: readonly SampledResponse[], version: number): Metrics {
  const versions = scored.map(({ group, response: { policyVersions, tokenIds } }) =>
    policyVersions === undefined
      ? Array.from(tokenIds.data, () => group.policyVersion)
      : [...policyVersions.data],
  );
  return {
    'rollout/token_staleness': meanOf(versions.flat().map((one) => version - one)),
    'rollout/partial_ratio': meanOf(versions.map((of) => Number(of[0] !== of.at(-1)))),
  };
}
