/** The two kinds of questions, closed and open, and how a text of each is read: its conclusion and its steps. */
import {
  CROSS,
  diseaseList,
  finalAnswerOf,
  leadingOptionLetter,
  pairsOf,
  stripMarks,
  TICK,
} from '../reward/grammar.ts';

/** Kind of questions: they ask for one of lettered options, or for a list of findings in words. */
export type Task = 'closed' | 'open';
/** All kinds of questions. */
export const tasks: readonly Task[] = ['closed', 'open'];

/** A judgement on the way to the answer. */
export interface Step {
  readonly think: string;
  readonly answer: string;
  /** Claim of the mark: true, false, or null where there is none or both. */
  readonly claim: boolean | null;
  /** True where the claim agrees with the reference; null where nothing is claimed. */
  readonly isRight: boolean | null;
}

/** The answer that a text comes to: in its last pair, its last answer block or its last box, or else all of it. */
export function conclusionOf(text: string): string {
  const pair = pairsOf(text).at(-1);
  if (pair !== undefined) return pair.answer;
  const block = finalAnswerOf(text);
  if (block !== '') return block;
  return [...text.matchAll(/\\boxed\{([^{}]*)\}/g)].at(-1)?.[1] ?? text;
}

/** The option from A to G that a text comes to; empty if none. */
export function optionOf(text: string): string {
  return leadingOptionLetter(conclusionOf(text));
}

/** The findings that a text comes to, in lower case, without marks. */
export function findingsOf(text: string): string[] {
  return diseaseList(stripMarks(conclusionOf(text)));
}

/** The task that reference answers belong to: closed where each comes to an option. */
export function taskOf(golds: readonly string[]): Task {
  return golds.every((gold) => optionOf(gold) !== '') ? 'closed' : 'open';
}

/** The steps of a response, each judged by the reference answer. */
export function stepsOf(task: Task, response: string, gold: string): Step[] {
  const option = optionOf(gold);
  const truths = new Set(findingsOf(gold));
  return pairsOf(response).map(({ think, answer }) => {
    const [affirms, rejects] = [answer.includes(TICK), answer.includes(CROSS)];
    const claim = affirms === rejects ? null : affirms;
    if (claim === null) return { think, answer, claim, isRight: null };
    const isTrue =
      task === 'closed'
        ? leadingOptionLetter(answer) === option
        : diseaseList(stripMarks(answer)).every((finding) => truths.has(finding));
    return { think, answer, claim, isRight: claim === isTrue };
  });
}
