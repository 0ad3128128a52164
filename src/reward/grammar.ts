/** Grammar of responses: think and answer tags, format checks, option letters, lists of diseases. */
import { isSpace, SPACE, trimSpace } from '../text/whitespace.ts';

/** Step of a chain: `<think>…</think><answer>…</answer>`. */
export interface Pair {
  readonly think: string;
  readonly answer: string;
}

/** Mark of a judgement that affirms: ✅. */
export const TICK = '\u2705';
/** Mark of a judgement that rejects: ❌. */
export const CROSS = '\u274c';

/** A step as a chain has it. */
export function stepText(think: string, answer: string): string {
  return `<think>${think}</think><answer>${answer}</answer>`;
}

// In Python an i that ignores case also matches the dotted and the dotless i.
const THINK = 'th[i\u0130\u0131]nk';
const PAIR_MARKS = new RegExp(
  `(?<open><${THINK}>)|(?<middle></${THINK}>[${SPACE}]*<answer>)|(?<close></answer>)`,
  'giu',
);
const MIDDLE = new RegExp(`</think>[${SPACE}]*<answer>`, 'u');
const PLAIN = '(?:(?!</?(?:think|answer)>).)*';
const STRICT_CHAIN = new RegExp(
  `^(?:[${SPACE}]*<think>${PLAIN}</think>[${SPACE}]*<answer>${PLAIN}</answer>)+[${SPACE}]*$`,
  'su',
);
const SPACE_RUN = new RegExp(`[${SPACE}]+`, 'gu');

/**
 * Finds the steps of a chain, with any text between them and tags in either case.
 *
 * A `</think>` without an answer behind it belongs to the thought. One pass over the tags keeps the time linear for
 * degenerate responses.
 */
export function pairsOf(text: string): Pair[] {
  const pairs: Pair[] = [];
  let stage: 'outside' | 'think' | 'answer' = 'outside';
  let start = 0;
  let think = '';
  for (const mark of text.matchAll(PAIR_MARKS)) {
    if (stage === 'outside' && mark.groups?.['open'] !== undefined) {
      stage = 'think';
    } else if (stage === 'think' && mark.groups?.['middle'] !== undefined) {
      think = text.slice(start, mark.index);
      stage = 'answer';
    } else if (stage === 'answer' && mark.groups?.['close'] !== undefined) {
      pairs.push({ think, answer: text.slice(start, mark.index) });
      stage = 'outside';
    } else {
      continue;
    }
    start = mark.index + mark[0].length;
  }
  return pairs;
}

/** Content of the last answer block, lower-case tags only; empty if there is none. */
export function finalAnswerOf(text: string): string {
  const answers = [...text.matchAll(/<answer>(.*?)<\/answer>/gs)];
  return answers.at(-1)?.[1] ?? '';
}

/** Deletes white space beside every `<`, `>` and `/`. */
export function collapseTags(text: string): string {
  return text.replace(SPACE_RUN, (run, at: number) => {
    const before = text[at - 1] ?? '';
    const after = text[at + run.length] ?? '';
    return /[<>/]/.test(before + after) ? '' : run;
  });
}

/** Trims, then deletes white space beside every `<`, `>` and `/`. */
export function cleanTags(text: string): string {
  return collapseTags(trimSpace(text));
}

/**
 * Format check of the released scorer, which matches one or more pairs lazily over the whole text.
 *
 * This amounts to: the text starts with `<think>`, ends with `</answer>` and white space, and has `</think>`, white
 * space, `<answer>` in between. Junk between pairs therefore passes.
 */
function isLooseChain(text: string): boolean {
  let end = text.length;
  while (end > 0 && isSpace(text[end - 1]!)) end--;
  return isThinkAndAnswer(text.slice(0, end));
}

/** Tells whether a text is a think block, white space and an answer block. The blocks may contain tags. */
export function isThinkAndAnswer(text: string): boolean {
  if (!text.startsWith('<think>') || !text.endsWith('</answer>')) return false;
  return MIDDLE.test(text.slice('<think>'.length, -'</answer>'.length));
}

/** Format checks by name. Each reads the raw response. */
export const formatChecks = {
  /** Loose check on the text as it is. */
  raw: isLooseChain,
  /** Loose check after `cleanTags`. */
  cleaned: (text: string): boolean => isLooseChain(cleanTags(text)),
  /** Loose check after `cleanTags`, and as many `<think>` as `<answer>`. */
  counted: (text: string): boolean => {
    const clean = cleanTags(text);
    return isLooseChain(clean) && clean.split('<think>').length === clean.split('<answer>').length;
  },
  /** Strict grammar: pairs and white space, nothing else, no tag inside a block. */
  strict: (text: string): boolean => STRICT_CHAIN.test(text),
} as const satisfies Record<string, (text: string) => boolean>;

/** Options anywhere in a text, by the last of their letters. */
const ANY_OPTION = { D: /[a-d]/i, G: /[a-g]/i } as const;

/**
 * Option as the released scorer reads it: the first letter from A to `last` anywhere, upper-cased; empty if none.
 *
 * `The answer is B` therefore reads as E.
 */
export function anyOptionLetter(answer: string, last: 'D' | 'G'): string {
  return ANY_OPTION[last].exec(answer)?.[0].toUpperCase() ?? '';
}

const LEADING_OPTION = /^(?:option\s*)?[(\uff08]?\s*([a-g])(?![a-z0-9])/i;

/**
 * Option from A to G that an answer begins with, behind an optional `Option` or opening parenthesis; empty if none.
 *
 * `B`, `(b) Effusion` and `Option B ✅` read as B; `The answer is B` and `Edema` as nothing.
 */
export function leadingOptionLetter(answer: string): string {
  return LEADING_OPTION.exec(trimSpace(stripMarks(answer)))?.[1]?.toUpperCase() ?? '';
}

/** Removes ticks and crosses from a text. */
export function stripMarks(text: string): string {
  return text.replaceAll(TICK, '').replaceAll(CROSS, '');
}

/** Items between commas, semicolons and line feeds: trimmed, lower-case, none empty. */
export function diseaseList(text: string): string[] {
  return text
    .split(/[,;\n]/)
    .map((item) => trimSpace(item).toLowerCase())
    .filter((item) => item !== '');
}

/** F1 of two lists taken as sets: 1 when both are empty, 0 when one is. */
export function setF1(predicted: readonly string[], expected: readonly string[]): number {
  const guesses = new Set(predicted);
  const truths = new Set(expected);
  if (guesses.size === 0 && truths.size === 0) return 1;
  const shared = guesses.intersection(truths).size;
  return (2 * shared) / (guesses.size + truths.size);
}
