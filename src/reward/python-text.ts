import { trimSpace } from '../text/whitespace.ts';

const FLOAT = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[+-]?\d+(?:_\d+)*)?$/i;
const SPECIAL = /^[+-]?(?:inf(?:inity)?|nan)$/i;

/** The number that the reference language reads in a text, underscores and `inf` included; null if it reads none. */
export function readFloat(text: string): number | null {
  const trimmed = trimSpace(text);
  if (FLOAT.test(trimmed)) return Number(trimmed.replaceAll('_', ''));
  if (!SPECIAL.test(trimmed)) return null;
  if (/nan/i.test(trimmed)) return NaN;
  return trimmed.startsWith('-') ? -Infinity : Infinity;
}

/** The integer that the reference language reads in a text; null if it reads none. */
export function readInteger(text: string): number | null {
  const trimmed = trimSpace(text);
  return /^[+-]?\d+(?:_\d+)*$/.test(trimmed) ? Number(trimmed.replaceAll('_', '')) : null;
}

/** Whether a number is an integer but for rounding. */
export function isNearInteger(value: number): boolean {
  return Number.isFinite(value) && Math.abs(value - Math.round(value)) <= 1e-7;
}

/** All digits of an integer-valued number. */
export function integerText(value: number): string {
  return BigInt(value).toString();
}
