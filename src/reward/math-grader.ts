/**
 * Grader of answers to questions of mathematics, after that of PRM800K (Lightman et al. 2023, arXiv:2305.20050).
 *
 * That one asks sympy whether a difference is zero; `expression.ts` and `zero-test.ts` say what stands in its place.
 */
import { FUNCTIONS, parseExpression } from './expression.ts';
import {
  datasetNormalForm,
  expressionNormalForm,
  isIntegerText,
  withoutThousands,
} from './math-normal-forms.ts';
import type { Form } from './options.ts';
import { trimSpace } from '../text/whitespace.ts';
import { isIdenticallyZero } from './zero-test.ts';

/** Trimmed content of the last `\boxed{…}` with balanced braces; undefined if there is none. */
export function boxedContent(text: string): string | undefined {
  const mark = '\\boxed{';
  const start = text.lastIndexOf(mark);
  if (start < 0) return undefined;
  let depth = 1;
  for (let at = start + mark.length; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) {
      return trimSpace(text.slice(start + mark.length, at));
    }
  }
  return undefined;
}

/** Fraction of integers, with at most one character behind each. */
const FRACTION = /^-?[0-9]+[^\n]?\/0*[1-9][0-9]*[^\n]?\n?$/;

/** Elements of a tuple or an interval; the text itself if it is neither. */
function elementsOf(text: string): string[] {
  const plain = withoutThousands(text);
  if (plain === '') return [];
  const isBracketed = /^[()[\]][^()[\]]+[()[\]]$/.test(plain);
  return isBracketed ? plain.slice(1, -1).split(',').map(trimSpace) : [plain];
}

/** Tells whether a difference is simple enough to be parsed: at most two letters, and no long exponents. */
function isComparable(difference: string, form: Form): boolean {
  const unnamed =
    form === 'faithful'
      ? difference.replace(/sqrt|frac/g, '')
      : difference.replace(/[a-z]+/g, (name) => (FUNCTIONS.has(name) || name === 'pi' ? '' : name));
  const letters = unnamed.match(/\p{L}/gu) ?? [];
  return new Set(letters).size <= 2 && !/\^[{(]|\^[0-9]+\^|\^[0-9]{2}/.test(difference);
}

/** Tells whether two elements are equal: as text, or because their difference is zero. */
function isSameElement(truth: string, given: string, form: Form): boolean {
  // An unreduced fraction, or a sum in place of an integer, is not the answer that was asked for.
  if (FRACTION.test(truth) && FRACTION.test(given)) return truth === given;
  if (isIntegerText(truth) !== isIntegerText(given)) return false;
  const difference = `(${truth})-(${given})`;
  if (!isComparable(difference, form)) return false;
  const tree = parseExpression(difference, form);
  return tree !== null && isIdenticallyZero(tree, form);
}

/**
 * Tells whether an answer to a question of mathematics is right, however it is written.
 *
 * Two answers are equal if their normal forms of the MATH data set are equal, or if they are equal, element by
 * element, as expressions. Expressions with more than two letters or with long exponents are never equal.
 *
 * Faithful: the sides of a fraction get no parentheses, so `\frac{x+1}{2}` equals `x+\frac{1}{2}`; the index of a root
 * is lost; the letters of a function's name count as letters, so only `ln` and `sqrt` are ever evaluated. Repaired:
 * none of these holds.
 */
export function gradeAnswer(given: string, truth: string, form: Form): boolean {
  if (datasetNormalForm(truth) === datasetNormalForm(given)) return true;
  const wanted = expressionNormalForm(truth, form);
  const got = expressionNormalForm(given, form);
  if (wanted === got) return true;
  if (got === '') return false;
  const parts = elementsOf(wanted);
  const gotParts = elementsOf(got);
  if (parts.length !== gotParts.length) return false;
  const haveSameEnds = wanted.at(0) === got.at(0) && wanted.at(-1) === got.at(-1);
  if (parts.length > 1 && !haveSameEnds) return false;
  return parts.every((part, i) => isSameElement(part, gotParts[i]!, form));
}
