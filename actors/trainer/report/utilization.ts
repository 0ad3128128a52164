/** Model FLOPs utilization: what training a decoder costs, against the peak of the cards that do it. */
import type { TextConfig } from '../../../src/model/model-config.ts';
import type { Metrics, PhaseSeconds } from '../../../src/metrics.ts';
import type { StepContext } from '../context.ts';

/** `perf/mfu_actor` and `perf/mfu_critic` of a step. Both count the policy's epochs, as EasyR1 does. */
export function utilization(
  { actors, plan, sizes, product }: StepContext,
  tokens: readonly number[],
  seconds: PhaseSeconds,
): Metrics {
  const run = {
    epochs: plan.step.policy.epochs,
    product,
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
export type DecoderSizes = Pick<
  TextConfig,
  | 'hiddenSize'
  | 'vocabSize'
  | 'layers'
  | 'heads'
  | 'kvHeads'
  | 'headDim'
  | 'intermediateSize'
  | 'experts'
>;

/**
 * Floating-point operations of one forward and backward pass of a decoder over packed sequences:
 * six per token and weight that it meets, and attention by the squares of the lengths. The vision tower is not
 * counted.
 *
 * @param lengths tokens of each sequence, prompt and response
 * @see EasyR1's FLOPs counter, spec of `perf/mfu_actor`
 */
export function trainingFlops(sizes: DecoderSizes, lengths: readonly number[]): number {
  const { hiddenSize, vocabSize, layers, heads, kvHeads, headDim } = sizes;
  const attention = hiddenSize * (2 * heads * headDim + 2 * kvHeads * headDim);
  const weights = attention * layers + mlpWeights(sizes) + 2 * vocabSize * hiddenSize;
  const tokens = lengths.reduce((total, length) => total + length, 0);
  const squares = lengths.reduce((total, length) => total + length ** 2, 0);
  return 6 * weights * tokens + 12 * headDim * heads * layers * squares;
}

/** Weights of the MLPs of all layers that a token meets: those of its experts and of the router, in a mixture. */
function mlpWeights({ hiddenSize, intermediateSize, layers, experts }: DecoderSizes): number {
  const dense = 3 * hiddenSize * intermediateSize;
  if (experts === null) return dense * layers;
  const { count, perToken, intermediateSize: inner, denseLayers } = experts;
  const sparse = hiddenSize * (3 * inner * perToken + count);
  return sparse * (layers - denseLayers.length) + dense * denseLayers.length;
}

/**
 * Peak dense bf16 TFLOPS by part of the name that a card is sold under; the first that occurs in it counts.
 *
 * H200 stands before H20, which it contains, and L40S before L40: EasyR1 takes one for the other.
 */
const peaks: readonly (readonly [string, number])[] = [
  ['B200', 2250],
  ['H200', 989],
  ['H100', 989],
  ['H800', 989],
  ['A100', 312],
  ['A800', 312],
  ['L40S', 362],
  ['L40', 181.05],
  ['L20', 119.5],
  ['H20', 148],
  ['RTX 4090', 165],
  ['910B', 354],
];

/** Peak TFLOPS of a card by the name it is sold under; infinite for one that is not known, and for a processor's null. */
export function peakTflops(product: string | null): number {
  return peaks.find(([part]) => product?.includes(part))?.[1] ?? Infinity;
}

/**
 * `perf/mfu_actor`, `perf/mfu_critic`: the share of the devices' peak that training reached.
 *
 * @param flops       of one pass over the batch, from `trainingFlops`
 * @param run.seconds that the update took, all its epochs
 * @param run.product name that the devices are sold under; null for processors
 * @returns 0 where the peak is not known
 */
export function flopsUtilization(
  flops: number,
  run: {
    readonly seconds: number;
    readonly epochs: number;
    readonly product: string | null;
    readonly deviceCount: number;
  },
): number {
  const tflops = (flops * run.epochs) / run.seconds / 1e12;
  return tflops / (peakTflops(run.product) * run.deviceCount);
}
