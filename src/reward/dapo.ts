/** Reward of DAPO (arXiv:2503.14476) as EasyR1 released it: accuracy of a final answer, and a penalty for length. */
import { amount, scorerOptions } from './options.ts';
import type { BuiltIn } from './reward.ts';
import { SPACE, trimSpace } from '../text/whitespace.ts';

/** Texts that are replaced one after the other, in this order. */
const SUBSTITUTIONS: readonly (readonly [string, string])[] = [
  ['an ', ''],
  ['a ', ''],
  ['.$', '$'],
  ['\\$', ''],
  ['\\ ', ''],
  [' ', ''],
  ['mbox', 'text'],
  [',\\text{and}', ','],
  ['\\text{and}', ','],
  ['\\text{m}', '\\text{}'],
];

/** Units, filler and layout, which do not change an answer's value. They are removed in this order. */
const REMOVED: readonly string[] = [
  ...['square', 'ways', 'integers', 'dollars', 'mph', 'inches', 'hours', 'km', 'units', '\\ldots'],
  ...['sue', 'points', 'feet', 'minutes', 'digits', 'cents', 'degrees', 'cm', 'gm', 'pounds'],
  ...['meters', 'meals', 'edges', 'students', 'childrentickets', 'multiples', '\\text{s}'],
  ...['\\text{.}', '\\text{\ns}', '\\text{}^2', '\\text{}^3', '\\text{\n}', '\\text{}'],
  ...['\\mathrm{th}', '^\\circ', '^{\\circ}', '\\;', ',\\!', '{,}', '"', '\\dots'],
];

/** Python's `isdigit`: decimal digits of any script, and superscripts and the like. */
const DIGITS = /^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]+$/u;

/**
 * Normal form of a final answer: no units and no LaTeX layout, and braces around the sides of a fraction.
 *
 * `x = \frac12` becomes `\frac{1}{2}`.
 */
export function normalizeDapoAnswer(answer: string): string {
  let text = answer.slice(answer.lastIndexOf('=') + 1);
  for (const [from, to] of SUBSTITUTIONS) text = text.replaceAll(from, to);
  for (const removed of REMOVED) text = text.replaceAll(removed, '');
  text = text
    .replace(/[^\n]*?\$([^\n]*?)\$[^\n]*/g, '$$$1$$')
    .replace(/\\text\{([^\n]*?)\}/g, '$1')
    .replace(/\\textbf\{([^\n]*?)\}/g, '$1')
    .replace(/\\overline\{([^\n]*?)\}/g, '$1')
    .replace(/\\boxed\{([^\n]*)\}/g, '$1')
    .replace(/frac([^{])([^\n])/gu, 'frac{$1}{$2}')
    .replace(/sqrt([^{])/gu, 'sqrt{$1}')
    .replaceAll('$', '');
  const plain = text.replaceAll(',', '');
  return trimSpace(DIGITS.test(plain) ? plain : text);
}

const ANSWER = new RegExp(`answer[${SPACE}]*:[${SPACE}]*([^\\n]+)`, 'giu');
/** Characters at the end of a response that the released reward reads. */
const TAIL = 300;

/** Content of the last `Answer:` line of a text; undefined if there is none. */
function lastAnswer(text: string): string | undefined {
  return [...text.matchAll(ANSWER)].at(-1)?.[1];
}

/** Last `TAIL` characters of a text, counted as code points. */
function tailOf(text: string): string {
  const last = text.slice(-2 * TAIL);
  return Array.from(last).slice(-TAIL).join('');
}

interface Overlong {
  readonly maxLength: number;
  readonly buffer: number;
}

/**
 * Penalty for long responses: 0 up to `maxLength - buffer` tokens, then a line down to -1 at `maxLength`.
 *
 * @see DAPO, arXiv:2503.14476, equation 13
 */
export function overlongPenalty(length: number, { maxLength, buffer }: Overlong): number {
  const expected = maxLength - buffer;
  if (length <= expected) return 0;
  return length <= maxLength ? (expected - length) / buffer : -1;
}

/**
 * Reward `dapo` of EasyR1: +1 or -1 for the answer after the last `Answer:`, and a penalty for length.
 *
 * Faithful: only the last 300 characters are read, so an answer line that starts before them is missed, and a response
 * without one is compared as `[INVALID]`, which may equal a truth. Repaired: the whole response is read, and a
 * response without an answer is never right.
 */
export const dapo: BuiltIn = {
  configure(kwargs) {
    const { form, values } = scorerOptions(kwargs, {
      max_response_length: amount(),
      overlong_buffer_length: amount(),
      overlong_penalty_factor: amount(),
    });
    const limits = {
      maxLength: values.max_response_length,
      buffer: values.overlong_buffer_length,
    };
    const read = (response: string): string | undefined =>
      form === 'faithful' ? (lastAnswer(tailOf(response)) ?? '[INVALID]') : lastAnswer(response);
    return ({ response, responseLength, groundTruth }) => {
      const answer = read(response);
      const isRight =
        answer !== undefined && normalizeDapoAnswer(answer) === normalizeDapoAnswer(groundTruth);
      const accuracy = isRight ? 1 : -1;
      const overlong = overlongPenalty(responseLength, limits);
      return {
        overall: accuracy + overlong * values.overlong_penalty_factor,
        accuracy,
        overlong,
        accuracy_normalized: 0.5 * (accuracy + 1),
      };
    };
  },
};
