/** Metrics of a step under EasyR1's names, from its batch, its rewards and its times. */
import { freemem, totalmem } from 'node:os';
import { balanceMetrics } from '../../../src/algorithms/sequence-balance.ts';
import { meanOf } from '../../../src/algorithms/token-statistics.ts';
import {
  dataMetrics,
  mergeMetrics,
  performanceMetrics,
  prefixed,
  timingMetrics,
  type Metrics,
} from '../../../src/metrics.ts';
import type { MemoryGauge } from '../../../src/device/memory.ts';
import { partOf } from '../../../src/reward/mixture.ts';
import { concatenate, sequenceLength } from '../../../src/training/experience.ts';
import { learnerShares } from '../../../src/training/mini-batches.ts';
import type { Estimate, ModelOutputs } from '../advantages.ts';
import { sequenceOf, type ScoredBatch } from '../batch.ts';
import type { StepContext } from '../context.ts';
import { episodeMetrics, policyTokens } from '../episodes.ts';
import type { StepPlan } from '../plan.ts';
import type { InvalidResponse, ScoredResponse } from '../score.ts';
import type { Stopwatch } from './timeline.ts';
import { utilization } from './utilization.ts';

/** The parts of a step that its metrics are made from. */
interface FinishedStep {
  readonly batch: ScoredBatch;
  readonly outputs: ModelOutputs;
  readonly estimate: Estimate;
  /** Metrics that parts of the step made themselves: rewards, correction, updates. */
  readonly partMetrics: readonly Metrics[];
  readonly clock: Stopwatch;
}

/** Collects the metrics of a step under EasyR1's names, and stops its clock. */
export function stepMetrics(
  context: StepContext,
  { batch, outputs, estimate, partMetrics, clock }: FinishedStep,
): Metrics {
  const { actors, plan } = context;
  const { maxPromptLength, maxResponseLength } = plan.step;
  const sequences = batch.scored.map(sequenceOf);
  const tokens = sequences.map(sequenceLength);
  const totalTokens = tokens.reduce((sum, length) => sum + length, 0);
  const deviceCount = actors.learners.count;
  const seconds = clock.stopStep();
  return mergeMetrics(
    ...partMetrics,
    estimate.metrics,
    dataMetrics({
      ...policyTokens(batch.scored),
      ...estimate,
      ...(outputs.values !== null && { values: concatenate(outputs.values) }),
      promptLengths: sequences.map(({ prompt }) => prompt.tokenIds.data.length),
      maxPromptLength,
      maxResponseLength,
    }),
    balanceMetrics(tokens, learnerShares(sequences, deviceCount)),
    timingMetrics(seconds, { response: estimate.advantages.length, all: totalTokens }),
    performanceMetrics({
      totalTokens,
      stepSeconds: seconds.step,
      deviceCount,
      usedMemoryBytes: totalmem() - freemem(),
      peakMemoryBytes: peakMemoryOf(context.gauge),
    }),
    utilization(context, tokens, seconds),
    episodeMetrics(batch.scored),
    { 'data/skipped_rows': batch.skipped },
  );
}

/**
 * The most memory that the run has had on the card that is fullest; the leading process's own where no card trains.
 *
 * A card's is the largest reading of its gauge. It is read while each second's status is written and at the end of each
 * step, so a peak between two readings is not seen.
 */
function peakMemoryOf(gauge: MemoryGauge): number {
  gauge.read();
  return gauge.peakBytes > 0 ? gauge.peakBytes : process.resourceUsage().maxRSS * 1024;
}

/**
 * Metrics of the rewards: `reward/<part>` of the run's own responses, `reward/<stage>/<part>` of those to an earlier
 * stage's prompts, what a judge took, and the number of responses that could not be scored, where that does not end the
 * run.
 *
 * @throws CONFIG_INVALID when two parts have one name
 */
export function rewardMetrics(
  { actors, plan }: StepContext,
  { generated, invalid, counts }: ScoredBatch,
): Metrics {
  const prefixes = ['reward', ...actors.replays.map(({ name }) => `reward/${name!}`)];
  return mergeMetrics(
    ...counts.map((ofTask, i) => prefixed(prefixes[i]!, ofTask)),
    ...generated.map((scored, i) => meanParts(scored, (part) => `${prefixes[i]!}/${part}`)),
    invalidCount(invalid, plan.step, 'reward/invalid_responses'),
  );
}

/** The mean of every part of a score over the responses that have it. */
export function meanParts(
  scored: readonly Pick<ScoredResponse, 'parts'>[],
  nameOf: (part: string) => string,
): Metrics {
  const entries = scored.flatMap(({ parts }) => Object.entries(parts));
  const values = Map.groupBy(entries, ([part]) => part);
  return Object.fromEntries(
    [...values].map(([part, of]) => [nameOf(part), meanOf(of.map(([, value]) => value))]),
  );
}

/** The number of responses that could not be scored, where these are skipped. */
export function invalidCount(
  invalid: readonly InvalidResponse[],
  { skipsInvalid }: Pick<StepPlan, 'skipsInvalid'>,
  name: string,
): Metrics {
  return skipsInvalid ? { [name]: invalid.length } : {};
}

/** The mean accuracy of responses; NaN for none. */
export function meanAccuracy(scored: readonly Pick<ScoredResponse, 'parts'>[]): number {
  return meanOf(scored.map(({ parts }) => accuracyOf(parts)));
}

/** The part of a score that says how often a response is right, by the names that rewards give it. */
function accuracyOf(parts: Readonly<Record<string, number>>): number {
  return partOf(parts, ['acc', 'accuracy', 'f1', 'overall']) ?? NaN;
}
