import { freemem, totalmem } from 'node:os';
import { balanceMetrics } from '../../../src/algorithms/sequence-balance.ts';
import {
  dataMetrics,
  mergeMetrics,
  performanceMetrics,
  prefixed,
  timingMetrics,
  type Metrics,
  type PhaseSeconds,
} from '../../../src/metrics.ts';
import { partOf } from '../../../src/reward/mixture.ts';
import { concatenate, sequenceLength } from '../../../src/training/experience.ts';
import { learnerShares } from '../../../src/training/mini-batches.ts';
import type { Sequence } from '../../messages.ts';
import type { Estimate, TokenView } from '../advantages.ts';
import type { Batch } from '../batch.ts';
import type { StepContext } from '../context.ts';
import { episodeMetrics, policyRows } from '../episodes.ts';
import type { StepPlan } from '../plan.ts';
import type { InvalidResponse, ScoredResponse } from '../score.ts';
import type { Stopwatch } from './timeline.ts';

/** The parts of a step that its metrics are made from. */
interface FinishedStep {
  readonly batch: Batch;
  readonly sequences: readonly Sequence[];
  readonly view: TokenView;
  readonly estimate: Estimate;
  /** Metrics that parts of the step made themselves: rewards, correction, updates. */
  readonly others: readonly Metrics[];
  readonly clock: Stopwatch;
}

/** Collects the metrics of a step under EasyR1's names, and stops its clock. */
export function stepMetrics(
  context: StepContext,
  { batch, sequences, view, estimate, others, clock }: FinishedStep,
): Metrics {
  const { actors, plan } = context;
  const { maxPromptLength, maxResponseLength } = plan.step;
  const tokens = sequences.map(sequenceLength);
  const totalTokens = tokens.reduce((sum, length) => sum + length, 0);
  const deviceCount = actors.learners.count;
  const seconds = clock.stopStep();
  return mergeMetrics(
    ...others,
    estimate.metrics,
    dataMetrics({
      ...policyRows(batch.scored),
      tokenScores: estimate.tokenScores,
      tokenRewards: estimate.tokenRewards,
      advantages: estimate.advantages,
      returns: estimate.returns,
      ...(view.values !== null && { values: concatenate(view.values) }),
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
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    }),
    utilization(context, tokens, seconds),
    episodeMetrics(batch.scored),
    { 'data/skipped_rows': batch.skipped },
  );
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
  { generated, invalid, counts }: Batch,
): Metrics {
  const [own = [], ...replayed] = generated;
  const prefixes = ['reward', ...actors.replays.map(({ name }) => `reward/${name!}`)];
  return mergeMetrics(
    ...counts.map((ofTask, i) => prefixed(prefixes[i]!, ofTask)),
    meanParts(own, (part) => `reward/${part}`),
    ...replayed.map((scored, i) =>
      meanParts(scored, (part) => `reward/${actors.replays[i]!.name!}/${part}`),
    ),
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
    [...values].map(([part, of]) => [
      nameOf(part),
      of.reduce((sum, [, value]) => sum + value, 0) / of.length,
    ]),
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
  return scored.reduce((sum, { parts }) => sum + accuracyOf(parts), 0) / scored.length;
}

/** The part of a score that says how often a response is right, by the names that rewards give it. */
function accuracyOf(parts: Readonly<Record<string, number>>): number {
  return partOf(parts, ['acc', 'accuracy', 'f1', 'overall']) ?? NaN;
}

/** `perf/mfu_actor` and `perf/mfu_critic`. Both count the policy's epochs, as EasyR1 does. */
function utilization(
  { actors, plan, sizes }: StepContext,
  tokens: readonly number[],
  seconds: PhaseSeconds,
): Metrics {
  const run = {
    epochs: plan.step.policy.epochs,
    // The peak of a CPU is not known, so both are 0.
    deviceName: 'cpu',
    deviceCount: actors.learners.count,
  };
  const share = (decoder: DecoderSizes, spent: number): number =>
    flopsUtilization(trainingFlops(decoder, tokens), { ...run, seconds: spent });
  const { update_actor: ofPolicy, update_critic: ofCritic } = seconds;
  return {
    ...(ofPolicy !== undefined && { 'perf/mfu_actor': share(sizes.policy, ofPolicy) }),
    ...(ofCritic !== undefined &&
      sizes.critic !== null && { 'perf/mfu_critic': share(sizes.critic, ofCritic) }),
  };
}

/** The sizes of a decoder that its cost depends on. */
export interface DecoderSizes {
  readonly hiddenSize: number;
  readonly vocabSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
}

/**
 * Floating-point operations of one forward and backward pass of a dense decoder over packed sequences:
 * six per weight and token, and attention by the squares of the lengths. The vision tower is not
 * counted.
 *
 * @param lengths tokens of each sequence, prompt and response
 * @see EasyR1's FLOPs counter, spec of `perf/mfu_actor`
 */
export function trainingFlops(sizes: DecoderSizes, lengths: readonly number[]): number {
  const { hiddenSize, vocabSize, layers, heads, kvHeads, headDim, intermediateSize } = sizes;
  const attention = hiddenSize * (2 * heads * headDim + 2 * kvHeads * headDim);
  const weights =
    (3 * hiddenSize * intermediateSize + attention) * layers + 2 * vocabSize * hiddenSize;
  const tokens = lengths.reduce((total, length) => total + length, 0);
  const squares = lengths.reduce((total, length) => total + length ** 2, 0);
  return 6 * weights * tokens + 12 * headDim * heads * layers * squares;
}

/**
 * Peak dense bf16 TFLOPS by part of a device's name; the first that occurs in it counts.
 * H200 stands before H20, which it contains: the reference takes an H200 for an H20.
 */
const peaks: readonly (readonly [string, number])[] = [
  ['H200', 989],
  ['H100', 989],
  ['H800', 989],
  ['A100', 312],
  ['A800', 312],
  ['L40', 181.05],
  ['L20', 119.5],
  ['H20', 148],
  ['910B', 354],
];

/** Peak TFLOPS of a device; infinite for one that is not known, a CPU among them. */
export function peakTflops(deviceName: string): number {
  return peaks.find(([part]) => deviceName.includes(part))?.[1] ?? Infinity;
}

/**
 * `perf/mfu_actor`, `perf/mfu_critic`: the share of the devices' peak that training reached; 0 where
 * the peak is not known.
 *
 * @param flops       of one pass over the batch, from `trainingFlops`
 * @param run.seconds that the update took, all its epochs
 */
export function flopsUtilization(
  flops: number,
  run: {
    readonly seconds: number;
    readonly epochs: number;
    readonly deviceName: string;
    readonly deviceCount: number;
  },
): number {
  const tflops = (flops * run.epochs) / run.seconds / 1e12;
  return tflops / (peakTflops(run.deviceName) * run.deviceCount);
}
