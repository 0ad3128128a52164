import { CROSS, stepText, TICK } from '../reward/grammar.ts';
import type { Rng } from '../rng.ts';
import { findingOf, findings, type Finding, type FindingKind } from './findings.ts';

/** Prompt with its `<image>` marker, and the chain that answers it. */
export interface Question {
  readonly prompt: string;
  readonly answer: string;
}

/** Draws `count` other findings, each at most once, in random order. */
function drawOthers(kinds: readonly FindingKind[], count: number, rng: Rng): Finding[] {
  const others = findings.filter(({ kind }) => !kinds.includes(kind));
  return rng.drawn(others, count);
}

/** Sorts findings by option, so that the place of a finding does not tell whether it is true. */
function inOptionOrder(list: readonly Finding[]): Finding[] {
  return [...list].sort((a, b) => a.letter.localeCompare(b.letter));
}

/** Steps that judge each finding: true ones are affirmed, the others rejected. */
function judged(
  list: readonly Finding[],
  truths: readonly Finding[],
  nameOf: (finding: Finding) => string,
): string {
  return list
    .map((finding) =>
      truths.includes(finding)
        ? stepText(finding.present, `${nameOf(finding)} ${TICK}`)
        : stepText(finding.absent, `${nameOf(finding)} ${CROSS}`),
    )
    .join('');
}

/**
 * Makes a closed question: which of some options does the picture show?
 *
 * Without rejections the options are A to G, and the answer is one step:
 * `<think>The heart is enlarged.</think><answer>B ✅</answer>`. With rejections there are a few options, and the chain
 * judges each and sums up, as those of CX-Mind do.
 *
 * @param rejections number of wrong options beside the right one, drawn by `rng`; 0 gives all options, unjudged
 */
export function closedQuestion(kind: FindingKind, rejections: number, rng: Rng): Question {
  const truth = findingOf(kind);
  const isChain = rejections > 0;
  const options = isChain
    ? inOptionOrder([truth, ...drawOthers([kind], rejections, rng)])
    : findings;
  const lines = options.map(({ letter, label }) => `${letter}. ${label}`).join('\n');
  const how = isChain ? 'Judge each' : 'Think';
  return {
    prompt: `<image>Which finding is it?\n${lines}\n${how}, then answer with one letter and ${TICK}.`,
    answer: isChain
      ? judged(options, [truth], ({ letter }) => letter) +
        stepText('This is the sum.', `${truth.letter} ${TICK}`)
      : stepText(truth.present, `${truth.letter} ${TICK}`),
  };
}

/**
 * Makes an open question: which findings does the picture show? The chain lists candidates, judges each and sums up.
 *
 * @param kinds true findings
 * @param distractors number of false candidates that are listed and rejected, drawn by `rng`
 */
export function openQuestion(
  kinds: readonly FindingKind[],
  distractors: number,
  rng: Rng,
): Question {
  const truths = kinds.map(findingOf);
  const candidates = inOptionOrder([...truths, ...drawOthers(kinds, distractors, rng)]);
  const names = (list: readonly Finding[]): string => list.map(({ label }) => label).join(', ');
  return {
    prompt: '<image>List the findings. Name candidates, judge each, then sum up.',
    answer:
      stepText('These are possible.', names(candidates)) +
      judged(candidates, truths, ({ label }) => label) +
      stepText('This is the sum.', names(inOptionOrder(truths))),
  };
}
