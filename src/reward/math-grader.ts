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

/** What the last `\boxed{…}` with balanced braces holds, trimmed; undefined without one. */
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

/** A fraction of integers, perhaps with a mark around each. */
const FRACTION = /^-?[0-9]+[^\n]?\/0*[1-9][0-9]*[^\n]?\n?$/;

/** The elements of a tuple or an interval; anything else is one element. */
function elementsOf(text: string): string[] {
  const plain = withoutThousands(text);
  if (plain === '') return [];
  const isBracketed = /^[()[\]][^()[\]]+[()[\]]$/.test(plain);
  return isBracketed ? plain.slice(1, -1).split(',').map(trimSpace) : [plain];
}

/** Whether two elements are close enough to arithmetic for their difference to be looked at. */
function isComparable(difference: string, form: Form): boolean {
  const unnamed =
    form === 'faithful'
      ? difference.replace(/sqrt|frac/g, '')
      : difference.replace(/[a-z]+/g, (name) => (FUNCTIONS.has(name) || name === 'pi' ? '' : name));
  const letters = unnamed.match(/\p{L}/gu) ?? [];
  return new Set(letters).size <= 2 && !/\^[{(]|\^[0-9]+\^|\^[0-9]{2}/.test(difference);
}

/** Whether one element is the other: as it stands, or because their difference is zero. */
function isSameElement(truth: string, given: string, form: Form): boolean {
  // A fraction that is not reduced, and an integer left as a sum, are not what was asked for.
  if (FRACTION.test(truth) && FRACTION.test(given)) return truth === given;
  if (isIntegerText(truth) !== isIntegerText(given)) return false;
  const difference = `(${truth})-(${given})`;
  if (!isComparable(difference, form)) return false;
  const tree = parseExpression(difference, form);
  return tree !== null && isIdenticallyZero(tree, form);
}

/**
 * Whether an answer to a question of mathematics is the right one, however it is written.
 *
 * Equal in the normal form of the MATH data set; or else equal, element by element, as expressions. Refused as
 * expressions are those with more than two letters and those with exponents that would take long.
 *
 * Faithful, a fraction's sides lose what holds them together, so `\frac{x+1}{2}` equals `x+\frac{1}{2}`; the index of a
 * root is lost; a function's letters count, so that only `ln` and `sqrt` are ever looked at. Repaired, none of these.
 *
 * @see the grader of PRM800K, Lightman et al. 2023, arXiv:2305.20050
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
