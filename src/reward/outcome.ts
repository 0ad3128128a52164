/** Values that users' reward functions return, checked: each response has a score, or the reason why it has none. */
import { asMapping } from '../check/codec.ts';
import { CxmindError } from '../errors.ts';
import type { RewardParts } from './reward.ts';

/** Score of one response, or the reason why it has none. */
export type Outcome = { readonly parts: RewardParts } | { readonly problem: string };

function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return 'an object';
}

/** Checks the value that a function returned for one response: a map of finite numbers with `overall`. */
export function outcomeOf(value: unknown): Outcome {
  const map = asMapping(value);
  if (map === undefined) return { problem: `expected a map of numbers, got ${describe(value)}` };
  const parts: Record<string, number> = {};
  for (const [key, number] of Object.entries(map)) {
    if (typeof number !== 'number' || !Number.isFinite(number)) {
      return { problem: `'${key}' is not a finite number but ${describe(number)}` };
    }
    parts[key] = number;
  }
  const { overall } = parts;
  return overall === undefined
    ? { problem: `no 'overall' among its parts` }
    : { parts: { ...parts, overall } };
}

/** Checks the value that a function returned for a batch. @throws SHAPE_MISMATCH if it is not an array of `count` */
export function outcomesOf(values: unknown, count: number): Outcome[] {
  if (Array.isArray(values) && values.length === count) return values.map(outcomeOf);
  const isMap = asMapping(values) !== undefined;
  const hint = isMap ? "; a function of one response exports REWARD_TYPE = 'sequential'" : '';
  throw new CxmindError(
    'SHAPE_MISMATCH',
    `expected an array of ${count} maps, got ${describe(values)}${hint}`,
  );
}
