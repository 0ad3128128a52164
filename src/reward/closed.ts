/** Grades of closed questions, whose options have letters, and the rewards that pay for them. */
import {
  chainRewards,
  judgesRightly,
  type AnswerGrade,
  type ChainGrade,
  type ChainOptions,
} from './chain.ts';
import {
  anyOptionLetter,
  finalAnswerOf,
  formatChecks,
  leadingOptionLetter,
  pairsOf,
  type Pair,
} from './grammar.ts';
import type { Form } from './options.ts';
import type { AnsweredText } from './reward.ts';
import { similarity } from './text-metrics.ts';
import { trimSpace } from '../text/whitespace.ts';

type LetteredPair = Pair & { readonly letter: string };

/** First thought on an option, trimmed; empty if there is none. */
function thoughtOn(letter: string, pairs: readonly LetteredPair[]): string {
  return trimSpace(pairs.find((pair) => pair.letter === letter)?.think ?? '');
}

/**
 * Grades the option that the last answer chooses. Accuracy is 1 for the reference's option, else 0.
 *
 * Faithful: the first letter from A to D anywhere in the answer counts, so `<answer>Pneumonia</answer>` reads as A.
 * Repaired: the format is strict, and the letter from A to G that the answer begins with counts.
 */
function gradeAnswer({ response, groundTruth }: AnsweredText, form: Form): AnswerGrade {
  const faithful = form === 'faithful';
  const check = faithful ? formatChecks.counted : formatChecks.strict;
  const read = (text: string): string =>
    faithful ? anyOptionLetter(finalAnswerOf(text), 'D') : leadingOptionLetter(finalAnswerOf(text));
  const truth = read(groundTruth);
  const accuracy = Number(truth !== '' && read(response) === truth);
  return { format: check(response), accuracy };
}

/**
 * Grades a chain that judges lettered options one by one.
 *
 * - Format. Faithful: `<think>a</think>junk<think>b</think><answer>B</answer>` passes. Repaired: it does not.
 * - Accuracy: 1 if the last pair has the reference's option. Faithful: the first letter from A to G anywhere counts,
 *   so `The answer is B` reads as E. Repaired: the letter that the answer begins with counts, so this reads as
 *   nothing, and `Option B ✅` and `(b)` as B.
 * - Steps. Faithful: one right rejection `A ❌` is enough, even a bare `❌`. Repaired: accuracy must be 1, every pair
 *   must have a letter, and every option that the reference judges must be judged.
 * - Reason: similarity of the thought on the true option to the reference's, 0 unless accuracy is 1.
 */
function gradeChain(input: AnsweredText, { form, alpha }: ChainOptions): ChainGrade {
  const faithful = form === 'faithful';
  const read = (text: string): string =>
    faithful ? anyOptionLetter(text, 'G') : leadingOptionLetter(text);
  const lettered = (text: string): LetteredPair[] =>
    pairsOf(text).map((pair) => ({ ...pair, letter: read(pair.answer) }));
  const pairs = lettered(input.response);
  const reference = lettered(input.groundTruth);
  const truth = reference.at(-1)?.letter ?? '';
  const check = faithful ? formatChecks.raw : formatChecks.strict;
  const accuracy = Number(truth !== '' && pairs.at(-1)?.letter === truth);

  const judged = new Set(pairs.map(({ letter }) => letter));
  const isComplete =
    accuracy === 1 && !judged.has('') && reference.every(({ letter }) => judged.has(letter));
  const isRight =
    truth !== '' &&
    pairs.length > 0 &&
    pairs.every(({ answer, letter }) => judgesRightly(answer, letter === truth)) &&
    (faithful || isComplete);

  const thought = thoughtOn(truth, pairs);
  const model = thoughtOn(truth, reference);
  const how = { bleuWeight: alpha, splitting: 'single', decimals: 4 } as const;
  const isComparable = accuracy === 1 && thought !== '' && model !== '';
  const reason = isComparable ? similarity(thought, model, how) : 0;
  return { format: check(input.response), accuracy, reason, isRight };
}

/** Rewards of closed questions. `closed` is that of CX-Mind's first stage. */
export const closedRewards = chainRewards({
  name: 'closed',
  accuracy: 'acc',
  processWeight: 0.5,
  isProcessWeightTaken: false,
  gradeAnswer,
  gradeChain,
});
