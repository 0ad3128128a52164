/** Responses as losses take them, and the lengths and the joined values of several. */
import type { SequenceInput } from '../model/pack.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A sequence, and the response tokens of it that a loss counts. */
export interface MaskedInput extends SequenceInput {
  /** u8 `[T]` of 0 and 1; all tokens count where it is null or left out. */
  readonly mask?: Tensor<'u8'> | null;
}

/** One response for the policy's training; f32 tensors are `[T]`, one value per response token. */
export interface Experience extends MaskedInput {
  readonly oldLogProbs: Tensor<'f32'>;
  readonly advantages: Tensor<'f32'>;
  /** Null when the loss has no KL term. */
  readonly refLogProbs: Tensor<'f32'> | null;
}

/** One response for the critic's training; f32 tensors are `[T]`, one value per response token. */
export interface ValueExperience extends MaskedInput {
  /** The critic's values before the step's first update. */
  readonly oldValues: Tensor<'f32'>;
  readonly returns: Tensor<'f32'>;
}

/** Number of tokens of prompt and response together. */
export function sequenceLength({ prompt, response }: SequenceInput): number {
  return prompt.tokenIds.data.length + response.data.length;
}

/** Number of tokens of all prompts and responses, each prompt as often as it is answered. */
export function totalLength(samples: readonly SequenceInput[]): number {
  return samples.reduce((sum, sample) => sum + sequenceLength(sample), 0);
}

/** The tensors' values end to end. */
export function concatenate(parts: readonly Tensor<'f32'>[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
  let at = 0;
  for (const { data } of parts) {
    result.set(data, at);
    at += data.length;
  }
  return result;
}

/** An array cut into consecutive parts of the given lengths; copies. */
export function splitBy<A extends { slice(start: number, end: number): A }>(
  values: A,
  lengths: readonly number[],
): A[] {
  let at = 0;
  return lengths.map((length) => values.slice(at, (at += length)));
}
