/** Validation: answers to the validation prompts, their scores, and the validations of a run from first to last. */
import { meanOf } from '../../src/algorithms/token-statistics.ts';
import { CxmindError } from '../../src/errors.ts';
import { chosenGenerations } from '../../src/loggers/generations.ts';
import {
  lengthMetrics,
  prefixed,
  reduceMetrics,
  sumMetrics,
  type Metrics,
} from '../../src/metrics.ts';
import type { GateState } from '../../src/reward/gate.ts';
import { slices } from '../../src/tensor/slices.ts';
import { generateGroups } from './sample.ts';
import { noScores, scoreGroups, type InvalidResponse, type ScoredResponse } from './score.ts';
import { invalidCount, meanAccuracy, meanParts } from './report/step-metrics.ts';
import { generationOf, type RunLog } from './report/tracking.ts';
import type { RunActors, StepContext } from './context.ts';
import type { RunPlan } from './plan.ts';

/** The result of a validation. */
export interface Validation {
  readonly metrics: Metrics;
  /** Mean over all responses that could be scored; NaN without validation prompts. */
  readonly accuracy: number;
  readonly gate: GateState;
  readonly scored: readonly ScoredResponse[];
}

/** Takes the answers of a batch as soon as they are scored. */
export type OnScored = (scored: readonly ScoredResponse[]) => Promise<void>;

/** The part of a run that a validation needs. */
export interface ValidationContext extends Pick<
  StepContext,
  'rolloutWeights' | 'reporter' | 'signal'
> {
  readonly plan: Pick<RunPlan, 'validation'>;
  readonly actors: Pick<RunActors, 'task' | 'rollouts'>;
}

/**
 * Answers and scores every validation prompt, batch by batch, with the validation sampling.
 *
 * Random streams do not depend on the step, so two validations differ by the weights alone.
 *
 * @param onScored is waited for before the next batch
 * @throws REWARD_INVALID when there are responses, and none of them could be scored
 */
export function validate(
  { plan, actors, rolloutWeights, reporter, signal }: ValidationContext,
  prompts: number,
  startGate: GateState,
  onScored?: OnScored,
): Promise<Validation> {
  const answer = async (policyVersion: number): Promise<Validation> => {
    const { sampling, maxResponseLength: maxTokens } = plan.validation;
    const batchSize = plan.validation.batchSize === -1 ? prompts : plan.validation.batchSize;
    const { data, rewards } = actors.task;
    const request = { sampling, maxTokens, stream: ['validation'], policyVersion, signal };
    const scored: ScoredResponse[] = [];
    const invalid: InvalidResponse[] = [];
    const lengths: Record<string, number[]> = {};
    let gate = startGate;
    let counts: Metrics = {};
    for (const { start, end } of slices(prompts, batchSize)) {
      const batch = await data.ask.validation({ start, end }, { timeoutMs: 3600_000, signal });
      const groups = await generateGroups(actors.rollouts, batch.prompts, request, reporter);
      const result = await scoreGroups(rewards, groups, gate, signal);
      await onScored?.(result.scored);
      scored.push(...result.scored);
      invalid.push(...result.invalid);
      counts = sumMetrics([counts, result.counts]);
      for (const [name, value] of Object.entries(lengthsOf(result.scored, plan.validation))) {
        (lengths[name] ??= []).push(value);
      }
      gate = result.gate;
    }
    if (scored.length === 0 && invalid.length > 0) throw noScores(invalid);
    return {
      metrics: {
        'val/reward_score': meanOf(scored.map(({ parts }) => parts['overall']!)),
        ...meanParts(scored, (part) => `val/${part}_reward`),
        ...prefixed('val', counts),
        ...invalidCount(invalid, plan.validation, 'val/invalid_responses'),
        ...reduceMetrics(lengths),
      },
      accuracy: meanAccuracy(scored),
      gate,
      scored,
    };
  };
  return rolloutWeights.use(answer, { signal });
}

/** Metrics of the lengths of a batch; none where nothing of it could be scored. */
function lengthsOf(
  scored: readonly ScoredResponse[],
  { maxPromptLength, maxResponseLength }: RunPlan['validation'],
): Metrics {
  if (scored.length === 0) return {};
  const responses = scored.map(({ response }) => response.tokenIds.data.length);
  const prompts = scored.map(({ group }) => group.prompt.input.tokenIds.data.length);
  return {
    ...lengthMetrics('val_response_length', responses, maxResponseLength),
    ...lengthMetrics('val_prompt_length', prompts, maxPromptLength),
  };
}

/**
 * The validations of a run: the newest one, its score, and where its answers are written.
 *
 * One that a person asked for changes nothing of the run, such as which checkpoint is the best.
 */
export class Validations {
  readonly #context: StepContext;
  readonly #prompts: number;
  readonly #log: RunLog;
  #newest: { readonly step: number; readonly validation: Validation } | null = null;
  /** Step of the newest validation that a person asked for. */
  #requestedStep: number | null = null;

  constructor(context: StepContext, prompts: number, log: RunLog) {
    this.#context = context;
    this.#prompts = prompts;
    this.#log = log;
  }

  /**
   * Validates after a step; null without validation prompts, and when the run was preempted meanwhile.
   *
   * @param isNew false where the answers were written before a resume
   */
  async take(step: number, gate: GateState, isNew: boolean): Promise<Validation | null> {
    const validation = await this.#validated(step, gate, isNew);
    if (validation === null) return null;
    this.#newest = { step, validation };
    this.score();
    return validation;
  }

  /** Validates, and writes and shows the result. */
  async #validated(step: number, gate: GateState, isNew: boolean): Promise<Validation | null> {
    if (this.#prompts === 0) return null;
    const { plan, signal, preemption, reporter, logger } = this.#context;
    let validation: Validation;
    try {
      const context = { ...this.#context, signal: AbortSignal.any([signal, preemption]) };
      validation = await validate(context, this.#prompts, gate);
    } catch (error) {
      if (preemption.aborted && !signal.aborted) return null;
      throw error;
    }
    const shown = chosenGenerations(
      validation.scored.map(generationOf),
      plan.trainer.valGenerationsToLog,
    );
    await this.#log.generations(step, shown, isNew);
    if (isNew) await this.#log.answers?.write(step, validation.scored);
    logger.info({ step, ...validation.metrics }, 'validation');
    reporter.note(`validation at step ${step}: accuracy ${validation.accuracy.toFixed(3)}`);
    return validation;
  }

  /**
   * Validates on a person's request, between two steps. The gate of the run's own validations stays as it is.
   *
   * @returns the result in words
   */
  async request(step: number, gate: GateState): Promise<string> {
    if (this.#prompts === 0) return 'there are no validation prompts: data.val_files names none';
    if (this.isOf(step) || this.#requestedStep === step) {
      return `step ${step} is validated already`;
    }
    const validation = await this.#validated(step, gate, true);
    if (validation === null) return 'the run was stopped meanwhile';
    this.#requestedStep = step;
    this.#log.show(step, validation.metrics);
    const { accuracy, metrics } = validation;
    return (
      `validated step ${step}: accuracy ${accuracy.toFixed(3)}, ` +
      `reward ${metrics['val/reward_score']!.toFixed(3)}`
    );
  }

  /** True when the newest validation of the run's own is of a step. */
  isOf(step: number): boolean {
    return this.#newest?.step === step;
  }

  /** True when the validation of a step was cut off by a preemption. */
  wasCutOff(step: number): boolean {
    return this.#context.preemption.aborted && this.#prompts > 0 && !this.isOf(step);
  }

  /** Accuracy of the newest validation; null without one. */
  get accuracy(): number | null {
    return this.#newest?.validation.accuracy ?? null;
  }

  /**
   * The score of the newest validation, which makes a checkpoint the best; 0 without one.
   *
   * @throws CONFIG_INVALID when `trainer.best_metric` is none of its metrics
   */
  score(): number {
    const metrics = this.#newest?.validation.metrics;
    if (metrics === undefined) return 0;
    const { bestMetric } = this.#context.plan.trainer;
    const score = metrics[bestMetric];
    if (score !== undefined) return score;
    throw new CxmindError(
      'CONFIG_INVALID',
      `trainer.best_metric: expected one of ${Object.keys(metrics).join(', ')}, got ${bestMetric}`,
    );
  }
}
