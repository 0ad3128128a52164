/**
 * Normal forms of mathematical answers: that of the MATH data set, and one that can be parsed as an expression.
 *
 * Both follow released code step by step, since the order of replacements decides which answers are equal: the
 * equivalence check of the data set, and the grader of PRM800K.
 */
import { latexToText } from './latex-text.ts';
import type { Form } from './options.ts';
import { integerText, isNearInteger, readFloat } from './python-text.ts';
import { trimSpace } from '../text/whitespace.ts';

/** Text that is wrapped as a whole in `\text{…}`, up to its last brace. */
const WRAPPED = /^\\text\{([^\n]+?)\}\n?$/;

/** Thrown where the released check gives up and takes the text as it is. */
class Unreadable extends Error {}

/** Writes `\sqrt3` as `\sqrt{3}`. Only one character gets braces. */
function withRootBraces(text: string): string {
  const [first, ...rest] = text.split('\\sqrt');
  return rest.reduce((whole, part) => {
    const [head, ...tail] = Array.from(part);
    if (head === undefined) throw new Unreadable('a root of nothing');
    return `${whole}\\sqrt${head === '{' ? part : `{${head}}${tail.join('')}`}`;
  }, first!);
}

/** Writes `\frac12` and `\frac1{2}` as `\frac{1}{2}`. The text stays as it is if its last fraction lacks a side. */
function withFractionBraces(text: string): string {
  const [first, ...rest] = text.split('\\frac');
  let whole = first!;
  for (const part of rest) {
    const [top, bottom, ...tail] = Array.from(part);
    if (top === undefined) throw new Unreadable('a fraction of nothing');
    if (top === '{') whole += `\\frac${part}`;
    else if (bottom === undefined) return text;
    else whole += `\\frac{${top}}${bottom === '{' ? '{' : `{${bottom}}`}${tail.join('')}`;
  }
  return whole;
}

/** Integer over an integer, without leading zeros. */
const SLASHED = /^(-?[1-9][0-9]*|0)\/(-?[1-9][0-9]*|0)$/;

/**
 * Normal form of the MATH data set. Most right answers are equal in it, letter by letter.
 *
 * @see Hendrycks et al. 2021, arXiv:2103.03874, and its released equivalence check
 */
export function datasetNormalForm(answer: string): string {
  const trimmed = trimSpace(answer);
  const whole = trimSpace(WRAPPED.exec(trimmed)?.[1] ?? trimmed);
  try {
    return strippedForm(whole);
  } catch (error) {
    if (error instanceof Unreadable) return whole;
    throw error;
  }
}

function strippedForm(whole: string): string {
  let text = whole;
  for (const [from, to] of [
    ['\n', ''],
    ['\\!', ''],
    ['\\\\', '\\'],
    ['tfrac', 'frac'],
    ['dfrac', 'frac'],
    ['\\left', ''],
    ['\\right', ''],
    ['^{\\circ}', ''],
    ['^\\circ', ''],
    ['\\$', ''],
  ] as const) {
    text = text.replaceAll(from, to);
  }
  // The data set writes units as `\text{ cm}`, with a blank.
  const [value, ...units] = text.split('\\text{ ');
  if (units.length > 1) throw new Unreadable('two units');
  text = value!
    .replaceAll('\\%', '')
    .replaceAll('%', '')
    .replaceAll(' .', ' 0.')
    .replaceAll('{.', '{0.');
  if (text === '') return '';
  if (text.startsWith('.')) text = `0${text}`;
  const sides = text.split('=');
  if (sides.length === 2 && Array.from(sides[0]!).length <= 2) text = sides[1]!;
  text = withFractionBraces(withRootBraces(text).replaceAll(' ', ''));
  if (text === '0.5') text = '\\frac{1}{2}';
  return text.replace(SLASHED, '\\frac{$1}{$2}');
}

const UNITS = [
  ...['degree', 'cm', 'centimeter', 'meter', 'mile', 'second', 'minute', 'hour', 'day', 'week'],
  ...['month', 'year', 'foot', 'feet', 'inch', 'yard'],
].map((unit) => new RegExp(`${unit}(?:es)?s? *(?:\\^[0-9]+)?`, 'g'));

/** Removes commas between thousands: those of `1,234,567`, but not that of `1,23`. */
export function withoutThousands(text: string): string {
  let before: string;
  let after = text;
  do {
    before = after;
    after = before.replace(/(\p{Nd}),(\p{Nd}{3})($|\P{Nd})/gu, '$1$2$3');
  } while (after !== before);
  return after;
}

/** Tells whether a text is an integer in any notation. */
export function isIntegerText(text: string): boolean {
  const value = readFloat(withoutThousands(text));
  return value !== null && isNearInteger(value);
}

/**
 * Normal form whose elements can be parsed as expressions: without units and layout, LaTeX as plain text.
 *
 * @param form repaired, `\frac{x+1}{2}` gets parentheses; faithful, it reads as `x+1/2`
 */
export function expressionNormalForm(answer: string, form: Form): string {
  let text = answer
    .replace(WRAPPED, '$1')
    .replaceAll('\\%', '%')
    .replaceAll('\\$', '$')
    .replaceAll('$', '')
    .replaceAll('%', '')
    .replaceAll(' or ', ' , ')
    .replaceAll(' and ', ' , ')
    .replaceAll('million', '*10^6')
    .replaceAll('billion', '*10^9')
    .replaceAll('trillion', '*10^12');
  for (const unit of UNITS) text = text.replace(unit, '');
  text = text.replace(/\^ *\\circ/g, '');
  if (text.startsWith('{') && text.endsWith('}')) text = text.slice(1, -1);
  text = text.replace(/,\\! */g, '');
  const value = readFloat(text);
  if (value !== null && isNearInteger(value)) text = integerText(Math.round(value));
  if (text.includes('\\')) text = latexToText(text, form) ?? text;
  text = text
    .replace(/- */g, '-')
    .replace(/([0-9]) +([0-9])/g, '$1+$2')
    .replace(/[ {}]/g, '')
    .toLowerCase();
  if (!isIntegerText(text)) return text;
  return integerText(Math.trunc(readFloat(text.replaceAll(',', ''))!));
}
