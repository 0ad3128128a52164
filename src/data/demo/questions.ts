import type { Rng } from '../../rng.ts';
import { findingOf, findings, type Finding, type FindingKind } from './findings.ts';

/** A prompt with its `<image>` marker, and the chain that answers it. */
export interface Question {
  readonly prompt: string;
  readonly answer: string;
}

const TICK = '\u2705';
const CROSS = '\u274c';

function step(think: string, answer: string): string {
  return `<think>${think}</think><answer>${answer}</answer>`;
}

/** So many of the others, each once, in random order. */
function drawOthers(kinds: readonly FindingKind[], count: number, rng: Rng): Finding[] {
  const others = findings.filter(({ kind }) => !kinds.includes(kind));
  return Array.from({ length: Math.min(count, others.length) }, () => {
    const [drawn] = others.splice(rng.nextBelow(others.length), 1);
    return drawn!;
  });
}

/**
 * Which of the options A to G a picture shows, with the chain that judges its way to the answer.
 *
 * Without rejections the chain is one step: `<think>The heart is enlarged.</think><answer>B ✅</answer>`.
 *
 * @param rejections how many wrong options the chain rejects first, drawn by `rng`
 */
export function closedQuestion(kind: FindingKind, rejections: number, rng: Rng): Question {
  const options = findings.map(({ letter, label }) => `${letter}. ${label}`).join('\n');
  const truth = findingOf(kind);
  const rejected = drawOthers([kind], rejections, rng);
  return {
    prompt: `<image>Which finding is it?\n${options}\nThink, then answer with one letter and ${TICK}.`,
    answer:
      rejected.map(({ absent, letter }) => step(absent, `${letter} ${CROSS}`)).join('') +
      step(truth.present, `${truth.letter} ${TICK}`),
  };
}

/**
 * Which findings a picture shows, with the chain that lists candidates, judges each and sums up.
 *
 * @param kinds the true findings
 * @param distractors how many false candidates are listed and rejected, drawn by `rng`
 */
export function openQuestion(
  kinds: readonly FindingKind[],
  distractors: number,
  rng: Rng,
): Question {
  const truths = kinds.map(findingOf);
  const candidates = [...truths, ...drawOthers(kinds, distractors, rng)];
  // Option order, so that a candidate's place does not tell whether it is true.
  candidates.sort((a, b) => a.letter.localeCompare(b.letter));
  const names = (list: readonly Finding[]): string => list.map(({ label }) => label).join(', ');
  const judged = candidates.map((finding) =>
    truths.includes(finding)
      ? step(finding.present, `${finding.label} ${TICK}`)
      : step(finding.absent, `${finding.label} ${CROSS}`),
  );
  return {
    prompt: '<image>List the findings. Name candidates, judge each, then sum up.',
    answer:
      step('These are possible.', names(candidates)) +
      judged.join('') +
      step('This is the sum.', names([...truths].sort((a, b) => a.letter.localeCompare(b.letter)))),
  };
}
