/** Rewards of tokens: a response's score at its last token, less a KL penalty at each, as in EasyR1. */
import { CxmindError } from '../errors.ts';
import { estimateKl, type KlKind } from './kl.ts';
import {
  assertTokenLengths,
  f32,
  isCounted,
  rowCount,
  rowMeans,
  sum,
  tokenCount,
  type TokenRows,
} from './primitives.ts';

/**
 * Each response's score at its last token that counts, 0 elsewhere.
 *
 * @param scores f32 `[B]`
 * @returns f32 `[T]`
 * @throws SHAPE_MISMATCH when there is not one score a row
 */
export function tokenLevelScores(scores: Float32Array, rows: TokenRows): Float32Array {
  if (scores.length !== rowCount(rows)) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `tokenLevelScores: scores [B=${scores.length}] for ${rowCount(rows)} rows`,
    );
  }
  const tokenScores = new Float32Array(tokenCount(rows));
  for (let i = 0; i < scores.length; i++) {
    let last = rows.offsets[i + 1]! - 1;
    while (last > rows.offsets[i]! && !isCounted(rows, last)) last--;
    if (last >= rows.offsets[i]!) tokenScores[last] = scores[i]!;
  }
  return tokenScores;
}

/** Token rewards less the KL penalty, and the KL by which the controller moves. */
export interface PenalizedRewards {
  /** f32 `[T]`. */
  readonly rewards: Float32Array;
  /** Mean over samples of each sample's mean KL, nats. */
  readonly currentKl: number;
}

/**
 * KL in the reward: `scores - coef · kl(old, ref) · M`, per token.
 *
 * @param input.tokenScores f32 `[T]`, from `tokenLevelScores`
 * @param input.oldLogProbs f32 `[T]`, nats, of the policy that generated
 * @param input.refLogProbs f32 `[T]`, nats, of the reference
 * @throws SHAPE_MISMATCH when the lengths differ
 */
export function penalizeRewards(
  input: TokenRows & {
    readonly tokenScores: Float32Array;
    readonly oldLogProbs: Float32Array;
    readonly refLogProbs: Float32Array;
  },
  { kind, coef }: { readonly kind: KlKind; readonly coef: number },
): PenalizedRewards {
  const { tokenScores, oldLogProbs, refLogProbs } = input;
  assertTokenLengths('penalizeRewards', input, { tokenScores, oldLogProbs, refLogProbs });
  const kl = estimateKl(oldLogProbs, refLogProbs, kind).values;
  const coefficient = f32(coef);
  const rewards = tokenScores.map((score, t) =>
    isCounted(input, t) ? score - f32(coefficient * kl[t]!) : score,
  );
  const means = rowMeans(kl, input);
  return { rewards, currentKl: f32(sum(means) / Math.max(1, means.length)) };
}
