import {
  anyOptionLetter,
  CROSS,
  finalAnswerOf,
  formatChecks,
  leadingOptionLetter,
  pairsOf,
  TICK,
  type Pair,
} from './grammar.ts';
import { amount, scorerOptions, share, type Form } from './options.ts';
import type { BuiltIn, RewardInput, RewardParts } from './reward.ts';
import { roundTo, similarity } from './text-metrics.ts';
import { trimSpace } from '../text/whitespace.ts';

interface PlainOptions {
  readonly form: Form;
  /** Weight of the format in `base_reward`; the rest is the accuracy's. */
  readonly formatWeight: number;
}

interface ChainOptions extends PlainOptions {
  /** Size of the step-answer bonus. */
  readonly processWeight: number;
  /** Weight of BLEU-1 in the think bonus; the rest is ROUGE-L's. */
  readonly alpha: number;
}

/** Every step affirms the true option or rejects another. */
function judgesRightly(answer: string, letter: string, truth: string): boolean {
  return (
    (answer.includes(TICK) && letter === truth) || (answer.includes(CROSS) && letter !== truth)
  );
}

/** The first thought on an option, without white space around it; empty when there is none. */
function thoughtOn(letter: string, pairs: readonly (Pair & { letter: string })[]): string {
  return trimSpace(pairs.find((pair) => pair.letter === letter)?.think ?? '');
}

/**
 * Score of a lettered answer without bonuses: `format_weight * format + (1 - format_weight) * acc`.
 *
 * Faithful: final answers are read case-sensitively, and their first letter from A to D anywhere counts,
 * so `<answer>Pneumonia</answer>` reads as A.
 * Repaired: the strict format, and the letter from A to G that the answer begins with.
 *
 * @returns `overall`, `format`, `acc`
 */
function scorePlain(input: RewardInput, options: PlainOptions): RewardParts {
  const { response, groundTruth } = input;
  const faithful = options.form === 'faithful';
  const check = faithful ? formatChecks.counted : formatChecks.strict;
  const read = (text: string): string =>
    faithful
      ? anyOptionLetter(finalAnswerOf(text), 'D')
      : leadingOptionLetter(finalAnswerOf(text), 'G');
  const truth = read(groundTruth);
  const format = Number(check(response));
  const acc = Number(truth !== '' && read(response) === truth);
  return { overall: options.formatWeight * format + (1 - options.formatWeight) * acc, format, acc };
}

/**
 * Score of a chain that judges lettered options one by one.
 *
 * - `format`: the chain's layout. Faithful: `<think>a</think>junk<think>b</think><answer>B</answer>`
 *   passes. Repaired: it does not.
 * - `acc`: the last pair's option is the reference's. Faithful: the first letter from A to G anywhere, so
 *   `The answer is B` reads as E. Repaired: the letter the answer begins with, so it reads as nothing,
 *   and `Option B ✅` and `(b)` as B.
 * - `process`: `process_weight` when every pair judges rightly. Faithful: a lone right rejection `A ❌`
 *   earns it, even a bare `❌`. Repaired: only with `acc` 1, with a letter in every pair, and when all
 *   options that the reference judges are judged.
 * - `reason`: only with `acc` 1, how similar the thought on the true option is to the reference's.
 * - `base_reward`: `format_weight * format + (1 - format_weight) * acc`.
 * - `overall`: the same to 6 decimals; the gate replaces it.
 *
 * @see CX-Mind, arXiv:2508.03733, and its released closed-ended reward
 */
function scoreChain(input: RewardInput, options: ChainOptions): RewardParts {
  const faithful = options.form === 'faithful';
  const read = faithful ? anyOptionLetter : leadingOptionLetter;
  const lettered = (text: string): (Pair & { letter: string })[] =>
    pairsOf(text).map((pair) => ({ ...pair, letter: read(pair.answer, 'G') }));
  const pairs = lettered(input.response);
  const reference = lettered(input.groundTruth);
  const truth = reference.at(-1)?.letter ?? '';

  const check = faithful ? formatChecks.raw : formatChecks.strict;
  const format = Number(check(input.response));
  const acc = Number(truth !== '' && pairs.at(-1)?.letter === truth);

  const judged = new Set(pairs.map(({ letter }) => letter));
  const isComplete =
    acc === 1 && !judged.has('') && reference.every(({ letter }) => judged.has(letter));
  const isRight =
    truth !== '' &&
    pairs.length > 0 &&
    pairs.every(({ answer, letter }) => judgesRightly(answer, letter, truth)) &&
    (faithful || isComplete);

  const thought = thoughtOn(truth, pairs);
  const model = thoughtOn(truth, reference);
  const how = { bleuWeight: options.alpha, splitting: 'single', decimals: 4 } as const;
  const isComparable = acc === 1 && thought !== '' && model !== '';

  const base = options.formatWeight * format + (1 - options.formatWeight) * acc;
  return {
    overall: roundTo(base, 6),
    format,
    acc,
    reason: isComparable ? similarity(thought, model, how) : 0,
    process: isRight ? options.processWeight : 0,
    base_reward: base,
  };
}

const plainOptions = { format_weight: share(0.1) };
const thinkOptions = { ...plainOptions, alpha: share(0.3) };

/** closeQA: no bonuses. */
export const closedPlain: BuiltIn = {
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, plainOptions);
    return (input) => scorePlain(input, { form, formatWeight: values.format_weight });
  },
};

/** closeQA with the think bonus, gated by accuracy. */
export const closedThink: BuiltIn = {
  gate: { rule: 'ema', key: 'acc', bonus: ['reason'] },
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, thinkOptions);
    const { format_weight: formatWeight, alpha } = values;
    return (input) => {
      const { process: _, ...parts } = scoreChain(input, {
        form,
        formatWeight,
        alpha,
        processWeight: 0,
      });
      return parts;
    };
  },
};

/** closeQA with the think and the step-answer bonus, gated by accuracy: CX-Mind's closed stage. */
export const closed: BuiltIn = {
  gate: { rule: 'ema', key: 'acc', bonus: ['reason', 'process'] },
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, {
      ...thinkOptions,
      process_weight: amount(0.5),
    });
    const { format_weight: formatWeight, alpha, process_weight: processWeight } = values;
    return (input) => scoreChain(input, { form, formatWeight, alpha, processWeight });
  },
};
