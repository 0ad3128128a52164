/**
 * Scaling of rotary frequencies, by which a model reads contexts longer than those of its first training.
 *
 * Both kinds leave high frequencies as they are, since these turn many times within the first context, divide low ones
 * by `factor`, and blend the two in between. They differ in what they blend by, and YaRN also lengthens queries and
 * keys.
 *
 * @see `llama3`: Llama 3.1, arXiv:2407.21783, and `yarn`: arXiv:2309.00071; both as transformers computes them
 */

/** Scaling of Llama 3.1: wavelengths between two bounds are blended linearly in their frequency. */
interface Llama3Scaling {
  readonly type: 'llama3';
  readonly factor: number;
  /** Turns within the first context below which a frequency is divided. */
  readonly lowFreqFactor: number;
  /** Turns within the first context above which it stays. */
  readonly highFreqFactor: number;
  /** Length of the first context, tokens. */
  readonly originalContext: number;
}

/** Scaling of YaRN: frequencies between two bounds are blended linearly in their number. */
interface YarnScaling {
  readonly type: 'yarn';
  readonly factor: number;
  /** Turns within the first context above which a frequency stays. */
  readonly betaFast: number;
  /** Turns within the first context below which it is divided. */
  readonly betaSlow: number;
  /** Length of the first context, tokens. */
  readonly originalContext: number;
  /** Factor on cosines and sines, so that scores grow by its square. */
  readonly attentionFactor: number;
  /** True where the bounds are rounded outwards to whole numbers of frequencies. */
  readonly isTruncated: boolean;
}

/** A scaling of rotary frequencies, by its type. */
export type RopeScaling = Llama3Scaling | YarnScaling;

/** Scaled rotary frequencies. */
export interface ScaledFrequencies {
  readonly frequencies: readonly number[];
  /** Factor on cosines and sines. */
  readonly amplitude: number;
}

/**
 * Scales rotary frequencies.
 *
 * @param frequencies `base^(-2j/d)` for `j < d/2`
 * @returns frequencies in float32, and the factor on cosines and sines
 */
export function scaled(
  frequencies: readonly number[],
  base: number,
  scaling: RopeScaling | null,
): ScaledFrequencies {
  if (scaling === null) return { frequencies, amplitude: 1 };
  const kept =
    scaling.type === 'llama3' ? llama3Share(scaling) : yarnShare(scaling, frequencies.length, base);
  return {
    frequencies: frequencies.map((frequency, j) => {
      const share = Math.min(1, Math.max(0, kept(frequency, j)));
      return Math.fround(share * frequency + ((1 - share) * frequency) / scaling.factor);
    }),
    amplitude: scaling.type === 'yarn' ? scaling.attentionFactor : 1,
  };
}

/** Share of a frequency that stays as it is, before it is bounded by 0 and 1. */
type Share = (frequency: number, index: number) => number;

function llama3Share({ lowFreqFactor, highFreqFactor, originalContext }: Llama3Scaling): Share {
  return (frequency) => {
    const turns = (originalContext * frequency) / (2 * Math.PI);
    return (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  };
}

function yarnShare(
  { betaFast, betaSlow, originalContext, isTruncated }: YarnScaling,
  count: number,
  base: number,
): Share {
  /** The index of the frequency that makes a number of turns within the first context. */
  const indexOf = (turns: number): number =>
    (count * Math.log(originalContext / (turns * 2 * Math.PI))) / Math.log(base);
  const [first, last] = [indexOf(betaFast), indexOf(betaSlow)];
  const low = Math.max(0, isTruncated ? Math.floor(first) : first);
  const high = Math.min(2 * count - 1, isTruncated ? Math.ceil(last) : last);
  // Equal bounds would divide by zero.
  const width = high === low ? 0.001 : high - low;
  return (_, j) => 1 - (j - low) / width;
}
