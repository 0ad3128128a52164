/** Groups of responses: the rows of a batch that answer one prompt. */
import { CxmindError } from '../errors.ts';

/** The rows of every group, in order of first appearance; members need not be adjacent. */
export function rowsByGroup(groupIds: readonly string[]): ReadonlyMap<string, readonly number[]> {
  return Map.groupBy(groupIds.keys(), (row) => groupIds[row]!);
}

/**
 * The rows of every group, for estimators that compare a response with the others of its prompt.
 *
 * @throws SHAPE_MISMATCH when there is not one id a score, or a group has one member
 */
export function comparableGroups(
  where: string,
  scores: Float32Array,
  groupIds: readonly string[],
): readonly (readonly number[])[] {
  if (scores.length !== groupIds.length) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `${where}: scores [B=${scores.length}] for ${groupIds.length} group ids`,
    );
  }
  const groups = rowsByGroup(groupIds);
  for (const [id, members] of groups) {
    if (members.length < 2) {
      throw new CxmindError('SHAPE_MISMATCH', `${where}: group ${id} has one response, wants two`);
    }
  }
  return [...groups.values()];
}
