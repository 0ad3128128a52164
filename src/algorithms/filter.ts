import { CxmindError } from '../errors.ts';
import { rowsByGroup } from './groups.ts';
import { meanOf } from './token-statistics.ts';

/** Bounds on a group's mean, both exclusive. */
export interface FilterBounds {
  readonly low: number;
  readonly high: number;
}

/**
 * Online filtering: the rows of the groups that still teach something, those whose mean lies strictly
 * between the bounds. Groups stay whole and rows keep their order; no row at all is a valid answer.
 *
 * @param values   `[B]`, the reward part named by `filter_key`, one per response
 * @param groupIds `[B]`; members need not be adjacent
 * @returns indices of the rows to keep, rising
 * @throws SHAPE_MISMATCH when the lengths differ
 * @see DAPO, arXiv:2503.14476, section 3.2
 */
export function rowsToKeep(
  values: ArrayLike<number>,
  groupIds: readonly string[],
  { low, high }: FilterBounds,
): number[] {
  if (values.length !== groupIds.length) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `rowsToKeep: values [B=${values.length}] for ${groupIds.length} group ids`,
    );
  }
  const kept: number[] = [];
  for (const members of rowsByGroup(groupIds).values()) {
    const mean = meanOf(members.map((row) => values[row]!));
    if (low < mean && mean < high) kept.push(...members);
  }
  return kept.sort((a, b) => a - b);
}
