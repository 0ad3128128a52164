/** An evaluation in numbers: means over answers, pass@k, and shares by option. */
import type { AnswerScore } from './score.ts';
import type { Task } from './task.ts';
import type { TextOverlap } from './text.ts';

/** Score of an answer, and the question that it belongs to. */
export interface ScoredAnswer {
  /** Place of the question, from 0. */
  readonly question: number;
  /** Name of the file that it comes from. */
  readonly file: string;
  readonly score: AnswerScore;
}

/** Number of answers of a kind, and of right ones among them. */
export interface Share {
  readonly answers: number;
  readonly right: number;
  readonly accuracy: number;
}

/** An evaluation in numbers; shares are in [0, 1]. */
export interface EvaluationSummary extends TextOverlap {
  readonly task: Task;
  readonly questions: number;
  readonly answers: number;
  /** Share of answers that come to the reference's option or set of findings. */
  readonly accuracy: number;
  /** Share of answers that the released script calls correct. */
  readonly correct: number;
  /** Mean Jaccard index of the released script; null for closed questions. */
  readonly jaccard: number | null;
  /** Mean over answers of the F1 of their findings. */
  readonly f1_macro: number;
  /** F1 of all findings of all answers together. */
  readonly f1_micro: number;
  readonly precision_micro: number;
  readonly recall_micro: number;
  /** Share of answers in the layout of a chain. */
  readonly format: number;
  /** Share of marked steps that agree with the reference; null without any. */
  readonly process_accuracy: number | null;
  /** Share of answers with marked steps of which all are right. */
  readonly process_whole: number;
  /** Chance that one of k answers to a question is right, by k. */
  readonly pass_at: Readonly<Record<string, number>>;
  /** Shares by the reference's option; empty for open questions. */
  readonly options: Readonly<Record<string, Share>>;
  readonly files: Readonly<Record<string, Share>>;
}

/**
 * All numbers of an evaluation.
 *
 * @param ks the k of pass@k; those above the number of answers to a question are left out
 */
export function summarize(
  task: Task,
  answers: readonly ScoredAnswer[],
  ks: readonly number[],
): EvaluationSummary {
  const scores = answers.map(({ score }) => score);
  const mean = (valueOf: (score: AnswerScore) => number): number =>
    sumOf(scores, valueOf) / scores.length;
  const steps = sumOf(scores, ({ steps: count }) => count);
  const questions = Map.groupBy(answers, ({ question }) => question);
  return {
    task,
    questions: questions.size,
    answers: answers.length,
    accuracy: mean(({ right }) => right),
    correct: mean(({ correct }) => correct),
    jaccard: task === 'open' ? mean(({ jaccard }) => jaccard ?? 0) : null,
    f1_macro: mean(({ f1 }) => f1),
    ...microF1(scores),
    format: mean(({ format }) => format),
    process_accuracy: steps === 0 ? null : sumOf(scores, ({ rightSteps }) => rightSteps) / steps,
    process_whole: mean((score) => Number(score.steps > 0 && score.rightSteps === score.steps)),
    bleu_1: mean(({ overlap }) => overlap.bleu_1),
    bleu_4: mean(({ overlap }) => overlap.bleu_4),
    rouge_1: mean(({ overlap }) => overlap.rouge_1),
    rouge_2: mean(({ overlap }) => overlap.rouge_2),
    rouge_l: mean(({ overlap }) => overlap.rouge_l),
    pass_at: meanPassAt([...questions.values()], ks),
    options: task === 'closed' ? shares(answers, ({ score }) => score.gold[0] ?? 'none') : {},
    files: shares(answers, ({ file }) => file),
  };
}

/**
 * The chance that at least one of `k` answers drawn from `n`, of which `right` are right, is right:
 * `1 - C(n - right, k) / C(n, k)`.
 *
 * @see Chen et al. 2021, arXiv:2107.03374, the unbiased estimator
 */
export function passAtK(n: number, right: number, k: number): number {
  if (n - right < k) return 1;
  let allWrong = 1;
  for (let i = n - right + 1; i <= n; i++) allWrong *= 1 - k / i;
  return 1 - allWrong;
}

function meanPassAt(
  questions: readonly (readonly ScoredAnswer[])[],
  ks: readonly number[],
): Record<string, number> {
  const fewest = Math.min(...questions.map(({ length }) => length));
  const means = ks
    .filter((k) => k <= fewest)
    .map((k) => {
      const chances = questions.map((group) =>
        passAtK(
          group.length,
          sumOf(group, ({ score }) => score.right),
          k,
        ),
      );
      return [String(k), sumOf(chances, (chance) => chance) / chances.length] as const;
    });
  return Object.fromEntries(means);
}

/** Precision, recall and F1 over all findings of all answers; each is 0 where there is nothing to count. */
function microF1(
  scores: readonly AnswerScore[],
): Pick<EvaluationSummary, 'f1_micro' | 'precision_micro' | 'recall_micro'> {
  let [hits, named, wanted] = [0, 0, 0];
  for (const { answer, gold } of scores) {
    const [a, b] = [new Set(answer), new Set(gold)];
    hits += a.intersection(b).size;
    named += a.size;
    wanted += b.size;
  }
  const share = (of: number): number => (of === 0 ? 0 : hits / of);
  return {
    f1_micro: named + wanted === 0 ? 0 : (2 * hits) / (named + wanted),
    precision_micro: share(named),
    recall_micro: share(wanted),
  };
}

function shares(
  answers: readonly ScoredAnswer[],
  keyOf: (answer: ScoredAnswer) => string,
): Record<string, Share> {
  const groups = [...Map.groupBy(answers, keyOf)].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    groups.map(([key, group]) => {
      const right = sumOf(group, ({ score }) => score.right);
      return [key, { answers: group.length, right, accuracy: right / group.length }] as const;
    }),
  );
}

function sumOf<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return items.reduce((sum, item) => sum + valueOf(item), 0);
}
