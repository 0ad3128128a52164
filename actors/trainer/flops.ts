/** Floating-point operations of training, and the share of a device's peak that they reach (MFU). */

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
