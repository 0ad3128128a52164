/**
 * Closed and open questions about a labelled radiograph, and the chains that answer them, in the grammar of CX-Mind
 * (arXiv:2508.03733): a step for each option or candidate, then the sum.
 */
import { CROSS, stepText, TICK } from '../reward/grammar.ts';
import type { Rng } from '../rng.ts';
import { thoughtOn } from './report.ts';

/** Prompt with its `<image>` marker, and the chain that answers it. */
export interface ChainQuestion {
  readonly prompt: string;
  readonly answer: string;
}

/** Knowledge of a picture. */
export interface PictureFacts {
  /** Findings that it shows. */
  readonly present: readonly string[];
  /** Findings that it does not show. */
  readonly absent: readonly string[];
  /** Sentences of its report; empty if there is none. */
  readonly sentences: readonly string[];
}

const STEP = stepText('…', '…');
const CLOSED_TASK =
  `Judge each option in a step of its own, ${STEP}, whose answer is the letter with ${TICK} or ${CROSS}. ` +
  `Sum up in a last step whose answer is the one right letter with ${TICK}.`;
const OPEN_TASK =
  `List candidates in a first step, ${STEP}. Judge each in a step of its own, whose answer is its name with ${TICK} or ` +
  `${CROSS}. Sum up in a last step whose answer is the names of what is there, separated by commas.`;

/**
 * Closed question: which of some findings does the picture show? One is drawn of those it shows, the others of those it
 * does not.
 *
 * @param order all findings, in the order in which options stand, so that a place tells nothing
 * @param options number of options, at most 7, since the reward reads letters up to G; fewer where fewer findings are
 *   absent
 * @returns null if nothing is present, or nothing absent
 */
export function closedQuestion(
  facts: PictureFacts,
  order: readonly string[],
  options: number,
  rng: Rng,
): ChainQuestion | null {
  const [truth] = rng.drawn(facts.present, 1);
  const wrong = rng.drawn(facts.absent, options - 1);
  if (truth === undefined || wrong.length === 0) return null;
  const listed = inOrder([truth, ...wrong], order);
  const letterOf = (finding: string): string => String.fromCharCode(65 + listed.indexOf(finding));
  const lines = listed.map((finding) => `${letterOf(finding)}. ${finding}`).join('\n');
  const steps = listed.map((finding) =>
    judged(finding, letterOf(finding), finding === truth, facts),
  );
  return {
    prompt: `<image>Which finding does this chest radiograph show?\n${lines}\n${CLOSED_TASK}`,
    answer: [
      ...steps,
      stepText(`Option ${letterOf(truth)} is right.`, `${letterOf(truth)} ${TICK}`),
    ].join(''),
  };
}

/**
 * Open question: which findings does the picture show?
 *
 * @param distractors number of absent findings that the chain lists and rejects
 * @returns null if nothing is present
 */
export function openQuestion(
  facts: PictureFacts,
  order: readonly string[],
  distractors: number,
  rng: Rng,
): ChainQuestion | null {
  const { present } = facts;
  if (present.length === 0) return null;
  const listed = inOrder([...present, ...rng.drawn(facts.absent, distractors)], order);
  const steps = listed.map((finding) => judged(finding, finding, present.includes(finding), facts));
  const sum = inOrder(present, order).join(', ');
  return {
    prompt: `<image>Which findings does this chest radiograph show?\n${OPEN_TASK}`,
    answer: [
      stepText('These findings are possible.', listed.join(', ')),
      ...steps,
      stepText('This is what remains.', sum),
    ].join(''),
  };
}

function judged(finding: string, name: string, isPresent: boolean, facts: PictureFacts): string {
  const thought = thoughtOn(finding, isPresent, facts.sentences);
  return stepText(thought, `${name} ${isPresent ? TICK : CROSS}`);
}

function inOrder(items: readonly string[], order: readonly string[]): string[] {
  return order.filter((item) => items.includes(item));
}
