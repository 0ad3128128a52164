/**
 * Advantages of responses over a baseline of their group: a response's score less what a response to its prompt scores,
 * without a scale. The estimators differ in the baseline alone.
 *
 * A group of one response is refused; verl gives it a baseline of 0. `f32` stands where verl's tensors round;
 * `primitives.ts` has the rule.
 */
import { comparableGroups } from './groups.ts';
import { f32, sum } from './primitives.ts';

/**
 * Leave-one-out advantage: each score less the mean of the other scores of its group.
 *
 * @param scores   f32 `[B]`
 * @param groupIds `[B]`; members need not be adjacent
 * @returns f32 `[B]`, mean zero within each group
 * @throws SHAPE_MISMATCH when the lengths differ or a group has one member
 * @see Ahmadian et al., arXiv:2402.14740
 */
export function leaveOneOutAdvantage(
  scores: Float32Array,
  groupIds: readonly string[],
): Float32Array {
  const advantages = new Float32Array(scores.length);
  for (const members of comparableGroups('leaveOneOutAdvantage', scores, groupIds)) {
    const total = f32(sum(members.map((row) => scores[row]!)));
    for (const row of members) {
      const meanOfOthers = f32(f32(total - scores[row]!) / (members.length - 1));
      advantages[row] = scores[row]! - meanOfOthers;
    }
  }
  return advantages;
}

/**
 * OPO: each score less the baseline of least variance, the mean score of its group's tokens: a response's score counts
 * as often as it has tokens.
 *
 * @param scores   f32 `[B]`
 * @param groupIds `[B]`; members need not be adjacent
 * @param lengths  `[B]`, numbers of tokens that count
 * @returns f32 `[B]`
 * @throws SHAPE_MISMATCH when the lengths differ or a group has one member
 * @see Hao et al., On-Policy RL with Optimal Reward Baseline, arXiv:2505.23585; as in verl
 */
export function optimalBaselineAdvantage(
  scores: Float32Array,
  groupIds: readonly string[],
  lengths: readonly number[],
): Float32Array {
  return overBaselines('optimalBaselineAdvantage', scores, groupIds, (members) => {
    const weighted = f32(sum(members.map((row) => f32(lengths[row]! * scores[row]!))));
    // A group without any token has no baseline, and nothing to train either.
    return weighted / Math.max(1, sum(members.map((row) => lengths[row]!)));
  });
}

/**
 * GPG: each score less its group's mean, times `B / m`, where `m` of the `B` scores of the batch are not 0.
 *
 * The factor makes up for groups in which all responses failed and whose gradient is 0. It goes by scores rather than
 * by groups, as in verl. The policy loss of the paper is `loss_type` `gpg`.
 *
 * @param scores   f32 `[B]`, of the whole batch
 * @param groupIds `[B]`; members need not be adjacent
 * @returns f32 `[B]`
 * @throws SHAPE_MISMATCH when the lengths differ or a group has one member
 * @see Chu et al., GPG, arXiv:2504.02546; as in verl
 */
export function groupPolicyGradientAdvantage(
  scores: Float32Array,
  groupIds: readonly string[],
): Float32Array {
  const scored = scores.reduce((count, score) => count + Number(score !== 0), 0);
  const scale = f32(scores.length / Math.max(1, scored));
  return leadsOverMean('groupPolicyGradientAdvantage', scores, groupIds).map(
    (lead) => scale * lead,
  );
}

/**
 * Each score less its group's mean, f32 `[B]`; exactly 0 in a group whose scores are all equal.
 *
 * @throws SHAPE_MISMATCH when the lengths differ or a group has one member
 */
export function leadsOverMean(
  where: string,
  scores: Float32Array,
  groupIds: readonly string[],
): Float32Array {
  return overBaselines(
    where,
    scores,
    groupIds,
    (members) => sum(members.map((row) => scores[row]!)) / members.length,
  );
}

/** Each score less the baseline of its group's members, which is rounded once; f32 `[B]`. */
function overBaselines(
  where: string,
  scores: Float32Array,
  groupIds: readonly string[],
  baselineOf: (members: readonly number[]) => number,
): Float32Array {
  const advantages = new Float32Array(scores.length);
  for (const members of comparableGroups(where, scores, groupIds)) {
    const baseline = f32(baselineOf(members));
    for (const row of members) advantages[row] = scores[row]! - baseline;
  }
  return advantages;
}
