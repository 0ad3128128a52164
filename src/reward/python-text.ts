/** Numbers in text as Python, the language of the released rewards, reads and writes them. */
import { trimSpace } from '../text/whitespace.ts';

const FLOAT = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i;
const SPECIAL = /^[+-]?(?:inf(?:inity)?|nan)$/i;

/** Number that Python's `float` reads, underscores and `inf` included; null where it raises an error. */
export function readFloat(text: string): number | null {
  const trimmed = trimSpace(text);
  if (FLOAT.test(trimmed)) return Number(trimmed.replaceAll('_', ''));
  if (!SPECIAL.test(trimmed)) return null;
  if (/nan/i.test(trimmed)) return NaN;
  return trimmed.startsWith('-') ? -Infinity : Infinity;
}

/** Integer that Python's `int` reads; null where it raises an error. */
export function readInteger(text: string): number | null {
  const trimmed = trimSpace(text);
  return /^[+-]?\d+(?:_\d+)*$/.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : null;
}

/** Tells whether a number is within 1e-7 of an integer. */
export function isNearInteger(value: number): boolean {
  return Number.isFinite(value) && Math.abs(value - Math.round(value)) <= 1e-7;
}

/** Decimal digits of an integer-valued number, without an exponent. */
export function integerText(value: number): string {
  return BigInt(value).toString();
}
