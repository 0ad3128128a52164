/** Grades of open questions, whose answers list diseases, and the rewards that pay for them. */
import {
  chainRewards,
  judgesRightly,
  type AnswerGrade,
  type ChainGrade,
  type ChainOptions,
} from './chain.ts';
import {
  diseaseList,
  finalAnswerOf,
  formatChecks,
  pairsOf,
  setF1,
  stripMarks,
  TICK,
  type Pair,
} from './grammar.ts';
import type { Form } from './options.ts';
import type { AnsweredText } from './reward.ts';
import { similarity } from './text-metrics.ts';
import { trimSpace } from '../text/whitespace.ts';

/** Diseases that an answer names. Faithful: marks stay, so `Edema ✅` is another disease than `Edema`. */
function diseasesOf(answer: string, form: Form): string[] {
  return diseaseList(form === 'faithful' ? answer : stripMarks(answer));
}

function finalF1({ response, groundTruth }: AnsweredText, form: Form): number {
  return setF1(
    diseasesOf(finalAnswerOf(response), form),
    diseasesOf(finalAnswerOf(groundTruth), form),
  );
}

/**
 * Grades the list of diseases in the last answer. Accuracy is the F1 of the sets that answer and reference list.
 *
 * Faithful: marks stay in the list, so `Edema ✅` misses `Edema`. Repaired: the format is strict, and marks are
 * stripped on both sides.
 */
function gradeAnswer(input: AnsweredText, form: Form): AnswerGrade {
  const check = form === 'faithful' ? formatChecks.counted : formatChecks.strict;
  return { format: check(input.response), accuracy: finalF1(input, form) };
}

/** Mean similarity of the thoughts that affirm a true disease to the reference's first thought on it. */
function reasonOf(
  steps: readonly (Pair & { disease: string })[],
  truths: ReadonlySet<string>,
  reference: readonly Pair[],
  { form, alpha }: ChainOptions,
): number {
  // Repaired: the inner steps come first, because the opening list of the reference names every candidate.
  const sources = form === 'faithful' ? reference : [...reference.slice(1, -1), ...reference];
  const how = { bleuWeight: alpha, splitting: 'runs' } as const;
  const values: number[] = [];
  for (const { think, answer, disease } of steps) {
    if (!answer.includes(TICK) || !truths.has(disease)) continue;
    const model = sources.find((pair) => diseasesOf(pair.answer, form).includes(disease));
    const modelThought = trimSpace(model?.think ?? '');
    // An empty thought counts as unlike. Without a thought of the reference there is nothing to compare.
    if (modelThought !== '') values.push(similarity(trimSpace(think), modelThought, how));
  }
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Grades a chain that lists candidate diseases, judges each, and sums up with a list.
 *
 * The first pair, the candidates, and the last, the summary, are not judged. The pairs between them are steps.
 *
 * - Format. Faithful: spaces inside tags and junk between pairs pass. Repaired: neither does.
 * - Accuracy: as `gradeAnswer` has it.
 * - Steps: there is at least one, and each affirms a true disease or rejects a false one.
 * - Reason. Faithful: marks stay in the reference, so with `Edema ✅` as its step the comparison falls on its
 *   candidate list or summary. Repaired: it falls on that step.
 */
function gradeChain(input: AnsweredText, options: ChainOptions): ChainGrade {
  const { form } = options;
  const check = form === 'faithful' ? formatChecks.cleaned : formatChecks.strict;
  const truths = new Set(diseasesOf(finalAnswerOf(input.groundTruth), form));
  const steps = pairsOf(input.response)
    .slice(1, -1)
    .map((pair) => ({ ...pair, disease: trimSpace(stripMarks(pair.answer)).toLowerCase() }));
  const isRight =
    steps.length > 0 &&
    steps.every(({ answer, disease }) => judgesRightly(answer, truths.has(disease)));
  return {
    format: check(input.response),
    accuracy: finalF1(input, form),
    reason: reasonOf(steps, truths, pairsOf(input.groundTruth), options),
    isRight,
  };
}

/** Rewards of open questions. `open` is that of CX-Mind's second stage. */
export const openRewards = chainRewards({
  name: 'open',
  accuracy: 'f1',
  processWeight: 0.2,
  isProcessWeightTaken: true,
  gradeAnswer,
  gradeChain,
});
