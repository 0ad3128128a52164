/**
 * Scores of answers: by the rules of CX-Mind's released scripts, and by the option or findings that a text comes to.
 */
import { formatChecks, setF1 } from '../reward/grammar.ts';
import { trimSpace } from '../text/whitespace.ts';
import { findingsOf, optionOf, stepsOf, type Task } from './task.ts';
import { plainText, textOverlap, wordJaccard, type TextOverlap } from './text.ts';

/** Jaccard index above which the released script takes an open answer for correct. */
const JACCARD_CORRECT = 0.7;

/** The released script's verdict on an open answer, its judge's or its own. */
export interface Verdict {
  readonly correct: 0 | 1;
  readonly jaccard: number;
}

/** Score of one answer by every measure. */
export interface AnswerScore {
  /** The released scripts' rule: a closed answer equals the reference as a whole; an open one has the verdict. */
  readonly correct: 0 | 1;
  /** Open answers only. */
  readonly jaccard: number | null;
  /** 1 where the option, or the set of findings, that the text comes to is the reference's. */
  readonly right: 0 | 1;
  /** Conclusion of the text: an option, or findings. */
  readonly answer: readonly string[];
  readonly gold: readonly string[];
  /** F1 of the sets; for a closed answer that of one option. */
  readonly f1: number;
  /** 1 where the layout is a chain of think and answer blocks. */
  readonly format: 0 | 1;
  /** Number of steps that claim something. */
  readonly steps: number;
  readonly rightSteps: number;
  readonly overlap: TextOverlap;
}

/** The conclusions of an answer and of its reference, and how far they agree. */
export type Comparison = Pick<AnswerScore, 'right' | 'answer' | 'gold' | 'f1'>;

/** Compares the conclusions of an answer and of its reference. Without an answer it is wrong. */
export function compareAnswer(task: Task, predict: string | null, gold: string): Comparison {
  const read = (from: string): string[] =>
    task === 'open' ? findingsOf(from) : [optionOf(from)].filter((option) => option !== '');
  const [answer, truth] = [read(predict ?? ''), read(gold)];
  // A list may be empty and right; a reference without an option has no right answer.
  const isAnswerable = predict !== null && (task === 'open' || truth.length > 0);
  const f1 = isAnswerable ? setF1(answer, truth) : 0;
  return { right: f1 === 1 ? 1 : 0, answer, gold: truth, f1 };
}

/** Scores an answer against the reference; without an answer all is 0. */
export function scoreAnswer(
  task: Task,
  predict: string | null,
  gold: string,
  verdict?: Verdict,
): AnswerScore {
  const text = predict ?? '';
  const claims = stepsOf(task, text, gold).filter(({ isRight }) => isRight !== null);
  const judged = task === 'open' ? (verdict ?? wordVerdict(text, gold)) : null;
  return {
    correct: judged?.correct ?? exactMatch(predict, gold),
    jaccard: judged?.jaccard ?? null,
    ...compareAnswer(task, predict, gold),
    format: formatChecks.strict(text) ? 1 : 0,
    steps: claims.length,
    rightSteps: claims.filter(({ isRight }) => isRight).length,
    overlap: textOverlap(plainText(text), plainText(gold)),
  };
}

/** The verdict by the words alone, without a judge. */
export function wordVerdict(prediction: string, gold: string): Verdict {
  const jaccard = wordJaccard(prediction, gold);
  return { correct: jaccard > JACCARD_CORRECT ? 1 : 0, jaccard };
}

/** 1 where two texts are equal but for case and Python's white space around them. */
export function exactMatch(predict: string | null, gold: string): 0 | 1 {
  if (predict === null) return 0;
  return trimSpace(predict).toLowerCase() === trimSpace(gold).toLowerCase() ? 1 : 0;
}
