import { lengthMetrics, reduceMetrics, type Metrics } from '../../src/metrics.ts';
import type { GateState } from '../../src/reward/gate.ts';
import { generateGroups } from './sample.ts';
import { scoreGroups, type InvalidResponse, type ScoredResponse } from './score.ts';
import { invalidCount, meanAccuracy, meanParts } from './step-metrics.ts';
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
export interface ValidationContext extends Pick<StepContext, 'weights' | 'reporter' | 'signal'> {
  readonly plan: Pick<RunPlan, 'validation'>;
  readonly actors: Pick<RunActors, 'task' | 'rollouts'>;
}

/**
 * Answers and scores every validation prompt, batch by batch, with the validation sampling.
 *
 * Random streams do not depend on the step, so two validations differ by the weights alone.
 *
 * @param onScored is waited for before the next batch
 */
export async function validate(
  { plan, actors, reporter, weights, signal }: ValidationContext,
  prompts: number,
  startGate: GateState,
  onScored?: OnScored,
): Promise<Validation> {
  const { sampling, maxPromptLength, maxResponseLength } = plan.validation;
  const batchSize = plan.validation.batchSize === -1 ? prompts : plan.validation.batchSize;
  const { data, rewards, gate: spec } = actors.task;
  const scored: ScoredResponse[] = [];
  const invalid: InvalidResponse[] = [];
  const lengths: Record<string, number[]> = {};
  let gate = startGate;
  for (let start = 0; start < prompts; start += batchSize) {
    const end = Math.min(prompts, start + batchSize);
    const batch = await data.ask.validation({ start, end }, { timeoutMs: 3600_000, signal });
    const groups = await generateGroups(
      actors.rollouts,
      batch.prompts,
      {
        sampling,
        maxTokens: maxResponseLength,
        stream: ['validation'],
        policyVersion: weights.version,
        signal,
      },
      reporter,
    );
    const result = await scoreGroups(rewards, groups, { spec, state: gate }, signal);
    await onScored?.(result.scored);
    scored.push(...result.scored);
    invalid.push(...result.invalid);
    const tokens = {
      val_response_length: result.scored.map(({ response }) => response.tokenIds.data.length),
      val_prompt_length: result.scored.map(({ group }) => group.prompt.input.tokenIds.data.length),
    };
    const ofBatch = {
      ...lengthMetrics('val_response_length', tokens.val_response_length, maxResponseLength),
      ...lengthMetrics('val_prompt_length', tokens.val_prompt_length, maxPromptLength),
    };
    for (const [name, value] of Object.entries(ofBatch)) (lengths[name] ??= []).push(value);
    gate = result.gate;
  }
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const rewards = scored.map(({ parts }) => parts['overall']!);
  return {
    metrics: {
      'val/reward_score': sum(rewards) / scored.length,
      ...meanParts(scored, (part) => `val/${part}_reward`),
      ...invalidCount(invalid, plan.validation, 'val/invalid_responses'),
      ...reduceMetrics(lengths),
    },
    accuracy: meanAccuracy(scored),
    gate,
    scored,
  };
}
