/** Similarity of two texts by BLEU-1 and ROUGE-L, as CX-Mind's released rewards compute them. */
import { porterStem } from './porter.ts';
import { roundDecimals } from '../round.ts';
import { splitSpace } from '../text/whitespace.ts';

/** Tokens of BLEU: lower case, full stops split off. `single` splits at each space and keeps empty tokens. */
export function bleuTokens(text: string, splitting: 'single' | 'runs'): string[] {
  const spaced = text.toLowerCase().replaceAll('.', ' .');
  return splitting === 'single' ? spaced.split(' ') : splitSpace(spaced);
}

/**
 * BLEU-1 with one reference: clipped unigram precision times the brevity penalty, without smoothing.
 *
 * @returns in [0, 1]; 0 when no token is shared
 */
export function bleu1(hypothesis: readonly string[], reference: readonly string[]): number {
  const matches = sharedCount(hypothesis, reference);
  if (matches === 0) return 0;
  const precision = matches / hypothesis.length;
  const brevity =
    hypothesis.length > reference.length ? 1 : Math.exp(1 - reference.length / hypothesis.length);
  return precision * brevity;
}

/** Number of tokens that both have, each counted as often as in the list with fewer of it. */
export function sharedCount(a: readonly string[], b: readonly string[]): number {
  const left = new Map<string, number>();
  for (const token of b) left.set(token, (left.get(token) ?? 0) + 1);
  let shared = 0;
  for (const token of a) {
    const count = left.get(token) ?? 0;
    if (count === 0) continue;
    left.set(token, count - 1);
    shared++;
  }
  return shared;
}

/** Tokens of ROUGE: lower-case runs of a-z and 0-9, stemmed if they are longer than 3 characters. */
export function rougeTokens(text: string): string[] {
  return (text.toLowerCase().match(/[a-z0-9]+/g) ?? [])
    .map((token) => (token.length > 3 ? porterStem(token) : token))
    .filter((token) => token !== '');
}

/** Length of the longest common subsequence, in O(|a| |b|) time and O(|b|) memory. */
function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  const lengths = new Uint32Array(b.length + 1);
  for (const token of a) {
    let diagonal = 0;
    for (let j = 1; j <= b.length; j++) {
      const above = lengths[j]!;
      lengths[j] = token === b[j - 1] ? diagonal + 1 : Math.max(above, lengths[j - 1]!);
      diagonal = above;
    }
  }
  return lengths[b.length]!;
}

/**
 * ROUGE-L: the F-measure of the longest common subsequence of stemmed tokens.
 *
 * @returns in [0, 1]; 0 when either side has no token
 * @see Lin 2004; tokens and stems as in the rouge-score package with `use_stemmer`
 */
export function rougeL(prediction: readonly string[], target: readonly string[]): number {
  const common = longestCommonSubsequence(prediction, target);
  if (common === 0) return 0;
  const precision = common / prediction.length;
  const recall = common / target.length;
  return (2 * precision * recall) / (precision + recall);
}

/** Options of the similarity of two thoughts. */
export interface Similarity {
  /** Weight of BLEU-1; the rest is ROUGE-L's. */
  readonly bleuWeight: number;
  readonly splitting: 'single' | 'runs';
  /** Decimals that BLEU-1 and ROUGE-L are rounded to before they are combined; not rounded if absent. */
  readonly decimals?: number;
}

/** Similarity of two thoughts, `bleuWeight · BLEU-1 + (1 - bleuWeight) · ROUGE-L`, in [0, 1]. */
export function similarity(text: string, reference: string, how: Similarity): number {
  const round = (value: number): number =>
    how.decimals === undefined ? value : roundDecimals(value, how.decimals);
  const bleu = bleu1(bleuTokens(text, how.splitting), bleuTokens(reference, how.splitting));
  const rouge = rougeL(rougeTokens(text), rougeTokens(reference));
  return how.bleuWeight * round(bleu) + (1 - how.bleuWeight) * round(rouge);
}
