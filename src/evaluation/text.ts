/** Overlap of two texts: BLEU (Papineni et al. 2002), ROUGE (Lin 2004) and the Jaccard index of their words. */
import { bleuTokens, rougeL, rougeTokens, sharedCount } from '../reward/text-metrics.ts';
import { stripMarks } from '../reward/grammar.ts';

/** Overlap of two texts by several measures, in [0, 1]. */
export interface TextOverlap {
  readonly bleu_1: number;
  readonly bleu_4: number;
  readonly rouge_1: number;
  readonly rouge_2: number;
  readonly rouge_l: number;
}

/** The words of a chain without its tags and marks. */
export function plainText(chain: string): string {
  return stripMarks(chain.replace(/<\/?(?:think|answer)>/gi, ' ')).trim();
}

/** BLEU and ROUGE of two texts, in [0, 1]. */
export function textOverlap(prediction: string, reference: string): TextOverlap {
  const [hypothesis, target] = [prediction, reference].map((text) => bleuTokens(text, 'runs'));
  const [stems, targetStems] = [prediction, reference].map(rougeTokens);
  return {
    bleu_1: bleu(hypothesis!, target!, 1),
    bleu_4: bleu(hypothesis!, target!, 4),
    rouge_1: rougeN(stems!, targetStems!, 1),
    rouge_2: rougeN(stems!, targetStems!, 2),
    rouge_l: rougeL(stems!, targetStems!),
  };
}

/**
 * BLEU with one reference, without smoothing.
 *
 * It is the geometric mean of clipped n-gram precisions up to `order`, times the brevity penalty.
 *
 * @see Papineni et al. 2002
 */
export function bleu(
  hypothesis: readonly string[],
  reference: readonly string[],
  order: number,
): number {
  let logSum = 0;
  for (let n = 1; n <= order; n++) {
    const matches = sharedCount(grams(hypothesis, n), grams(reference, n));
    if (matches === 0) return 0;
    logSum += Math.log(matches / (hypothesis.length - n + 1));
  }
  const brevity =
    hypothesis.length > reference.length ? 0 : 1 - reference.length / hypothesis.length;
  return Math.exp(logSum / order + brevity);
}

/** ROUGE-N: the F-measure of shared n-grams; 0 when either side has none. @see Lin 2004 */
export function rougeN(
  prediction: readonly string[],
  target: readonly string[],
  n: number,
): number {
  const shared = sharedCount(grams(prediction, n), grams(target, n));
  if (shared === 0) return 0;
  return (2 * shared) / (prediction.length + target.length - 2 * (n - 1));
}

function grams(tokens: readonly string[], n: number): string[] {
  const count = Math.max(0, tokens.length - n + 1);
  return Array.from({ length: count }, (_, i) => JSON.stringify(tokens.slice(i, i + n)));
}

/**
 * Jaccard index of the sets of words, in lower case; 0 when either has none.
 *
 * CX-Mind's released script falls back to it where there is no judge.
 */
export function wordJaccard(prediction: string, gold: string): number {
  const [a, b] = [wordsOf(prediction), wordsOf(gold)];
  if (a.size === 0 || b.size === 0) return 0;
  return a.intersection(b).size / a.union(b).size;
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? []);
}
