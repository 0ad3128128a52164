import type { FinishReason } from '../finish-reason.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A response, and why it ended. */
interface EndedResponse {
  readonly tokenIds: Tensor<'i32'>;
  readonly finishReason: FinishReason;
}

/**
 * The tokens that losses count: those of `masks`, and with `maskTruncatedCompletions` no token of a response that
 * reached the limit of its length.
 *
 * The reward of a truncated response says little about its tokens. Its score still counts in the baseline of its group,
 * as in TRL. A step of nothing but truncated responses has no gradient.
 *
 * @param masks u8 `[T]` for each response; null where all tokens count
 * @returns u8 `[T]` for each response; null where all tokens count
 * @see DAPO, arXiv:2503.14476, section 3.4; TRL's `mask_truncated_completions`
 */
export function lossMasks(
  { maskTruncatedCompletions }: { readonly maskTruncatedCompletions: boolean },
  masks: readonly Tensor<'u8'>[] | null,
  responses: readonly EndedResponse[],
): readonly Tensor<'u8'>[] | null {
  const isLeftOut = ({ finishReason }: EndedResponse): boolean =>
    maskTruncatedCompletions && finishReason === 'length';
  if (!responses.some(isLeftOut)) return masks;
  return responses.map((response, i) => {
    const { shape, data } = response.tokenIds;
    const wanted = Number(!isLeftOut(response));
    return {
      dtype: 'u8',
      shape,
      data: Uint8Array.from(data, (_, t) => wanted * (masks?.[i]?.data[t] ?? 1)),
    };
  });
}
