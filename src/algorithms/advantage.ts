/**
 * Advantage estimators: from rewards to a number for each token, by which its likelihood is raised or lowered.
 *
 * Names and numbers are those of EasyR1, whose configs this project reads, except where a function says otherwise;
 * `reinforce_plus_plus_baseline`, `opo` and `gpg` are those of verl. `f32` stands where their tensors round;
 * `primitives.ts` has the rule.
 */
import { CxmindError } from '../errors.ts';
import {
  groupPolicyGradientAdvantage,
  leadsOverMean,
  leaveOneOutAdvantage,
  optimalBaselineAdvantage,
} from './baselines.ts';
import { comparableGroups } from './groups.ts';
import {
  assertTokenLengths,
  atTokens,
  f32,
  isCounted,
  maskedWhiten,
  rowCount,
  rowMaskSums,
  rowSums,
  sum,
  tokenCount,
  zeroMasked,
  type TokenRows,
} from './primitives.ts';

/** Added to a deviation of scores before dividing by it. */
const DEVIATION_EPSILON = f32(1e-6);

/**
 * Deviations that a group's scores are divided by (`algorithm.scale_rewards`): their own, that of all scores of the
 * batch, or none.
 *
 * `none` is Dr. GRPO (arXiv:2503.20783): a division by the group's deviation weighs prompts that are almost always or
 * almost never answered above the others. `batch` weighs all prompts alike (arXiv:2508.08221).
 */
export const rewardScales = ['group', 'batch', 'none'] as const;
/** Config name of a deviation that scores are divided by. */
export type RewardScale = (typeof rewardScales)[number];

/** Inputs of the estimators. */
export interface AdvantageInput extends TokenRows {
  /** f32 `[T]`, token-level rewards, KL penalty included where there is one. */
  readonly rewards: Float32Array;
  /** `[B]`, the prompt each response answers. */
  readonly groupIds: readonly string[];
  /** f32 `[B]`, reward of the greedy response to the same prompt; for estimators with that baseline only. */
  readonly baselines?: Float32Array | undefined;
  /** f32 `[T]`, the critic's values; for estimators with that baseline only. */
  readonly values?: Float32Array | undefined;
  /** Discount per token; `reinforce_plus_plus` and `gae`. */
  readonly gamma: number;
  /** Decay per token of the weight of later temporal differences, λ; `gae` only. */
  readonly lambda: number;
  /** Deviation that scores are divided by, the group's when left out; estimators with `scalesRewards` only. */
  readonly scaleRewards?: RewardScale;
}

/**
 * Advantages and returns per token, f32 `[T]` each; perhaps the same array.
 *
 * Values at masked tokens mean nothing, whatever an estimator leaves there: losses and metrics count no masked token.
 */
export interface AdvantageEstimate {
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
}

/** An advantage estimator. */
export interface AdvantageEstimator {
  readonly estimate: (input: AdvantageInput) => AdvantageEstimate;
  /**
   * Baseline that a response is held against: the other responses to its prompt, at least one; the values of a critic;
   * the greedy response to its prompt; null is none.
   */
  readonly baseline: 'group' | 'values' | 'greedy' | null;
  /** True if it divides by the deviation that `scaleRewards` chooses. */
  readonly scalesRewards: boolean;
}

/** The advantage estimators by their config name (`algorithm.adv_estimator`). */
export const advantageEstimators = {
  gae: { estimate: generalizedAdvantage, baseline: 'values', scalesRewards: false },
  grpo: {
    estimate: (input) =>
      perResponse(
        input,
        groupRelativeAdvantage(scoresOf(input), input.groupIds, input.scaleRewards),
      ),
    baseline: 'group',
    scalesRewards: true,
  },
  reinforce_plus_plus: {
    estimate: reinforcePlusPlus,
    baseline: null,
    scalesRewards: false,
  },
  remax: { estimate: remax, baseline: 'greedy', scalesRewards: false },
  rloo: {
    estimate: (input) => perResponse(input, leaveOneOutAdvantage(scoresOf(input), input.groupIds)),
    baseline: 'group',
    scalesRewards: false,
  },
  grpo_passk: {
    estimate: (input) =>
      perResponse(input, passAtKAdvantage(scoresOf(input), input.groupIds, input.scaleRewards)),
    baseline: 'group',
    scalesRewards: true,
  },
  reinforce_plus_plus_baseline: {
    estimate: reinforcePlusPlusBaseline,
    baseline: 'group',
    scalesRewards: false,
  },
  opo: {
    estimate: (input) =>
      perResponse(
        input,
        optimalBaselineAdvantage(scoresOf(input), input.groupIds, rowMaskSums(input)),
      ),
    baseline: 'group',
    scalesRewards: false,
  },
  gpg: {
    estimate: (input) =>
      perResponse(input, groupPolicyGradientAdvantage(scoresOf(input), input.groupIds)),
    baseline: 'group',
    scalesRewards: false,
  },
} as const satisfies Record<string, AdvantageEstimator>;

/** Config name of an estimator. */
export type AdvantageEstimatorName = keyof typeof advantageEstimators;

/** True where a run with an estimator has a critic, whose values are the baseline. */
export function needsCritic(estimator: AdvantageEstimatorName): boolean {
  return advantageEstimators[estimator].baseline === 'values';
}

/** True where an estimator takes the score of the greedy response to each prompt as the baseline. */
export function needsGreedy(estimator: AdvantageEstimatorName): boolean {
  return advantageEstimators[estimator].baseline === 'greedy';
}

/** The estimate in which every token of a response has the response's advantage, f32 `[B]`. */
function perResponse(input: AdvantageInput, ofResponses: Float32Array): AdvantageEstimate {
  const advantages = atTokens(ofResponses, input);
  return { advantages, returns: advantages };
}

/**
 * Group-relative advantage: each score less its group's mean, over a deviation.
 *
 * A group whose scores are all equal gets exact zeros, so it adds nothing to the gradient. EasyR1 divides one rounding
 * error by another there: ten scores of 0.7 give 0.056 each.
 *
 * @param scores   f32 `[B]`, one per response
 * @param groupIds `[B]`, the prompt each response answers; members need not be adjacent
 * @param scale    the deviation that leads are divided by, with n - 1 and plus 1e-6; TRL's `scale_rewards`. In verl,
 *   `norm_adv_by_std_in_grpo` is `group` where it is true and `none` where it is false
 * @returns f32 `[B]`, unitless, mean zero within each group
 * @throws SHAPE_MISMATCH when the lengths differ or a group has one member
 * @see DeepSeekMath, arXiv:2402.03300, section 4.1.2
 */
export function groupRelativeAdvantage(
  scores: Float32Array,
  groupIds: readonly string[],
  scale: RewardScale = 'group',
): Float32Array {
  const advantages = new Float32Array(scores.length);
  const divisorOf = divisorFor(scale, scores);
  for (const members of comparableGroups('groupRelativeAdvantage', scores, groupIds)) {
    const group = Float32Array.from(members, (row) => scores[row]!);
    if (group.every((score) => score === group[0])) continue;
    const { mean } = momentsOf(group);
    const divisor = divisorOf(group);
    for (const row of members) advantages[row] = f32(scores[row]! - mean) / divisor;
  }
  return advantages;
}

/**
 * Pass@k advantage: the best response of a group gets its lead over the second best, over a deviation; the
 * others get 0.
 *
 * @param scores   f32 `[B]`
 * @param groupIds `[B]`; members need not be adjacent
 * @returns f32 `[B]`, not negative
 * @throws SHAPE_MISMATCH when the lengths differ or a group has one member
 * @see EasyR1, `grpo_passk`; after arXiv:2503.19595
 */
export function passAtKAdvantage(
  scores: Float32Array,
  groupIds: readonly string[],
  scale: RewardScale = 'group',
): Float32Array {
  const advantages = new Float32Array(scores.length);
  const divisorOf = divisorFor(scale, scores);
  for (const members of comparableGroups('passAtKAdvantage', scores, groupIds)) {
    const ranked = members.toSorted((a, b) => scores[b]! - scores[a]!);
    const best = ranked[0]!;
    const lead = f32(scores[best]! - scores[ranked[1]!]!);
    advantages[best] = lead / divisorOf(Float32Array.from(members, (row) => scores[row]!));
  }
  return advantages;
}

/**
 * REINFORCE++ with a baseline: each score less its group's mean, whitened over the tokens of the batch. So one
 * deviation, the batch's, scales all groups.
 *
 * @see Hu, arXiv:2501.03262; as in verl
 */
function reinforcePlusPlusBaseline(input: AdvantageInput): AdvantageEstimate {
  const leads = leadsOverMean('reinforce_plus_plus_baseline', scoresOf(input), input.groupIds);
  const advantages = zeroMasked(maskedWhiten(atTokens(leads, input), input), input);
  return { advantages, returns: advantages };
}

/**
 * ReMax: each score less the reward of the greedy response to the same prompt (`input.baselines`).
 * Returns are the undiscounted reward to go.
 *
 * @see Li et al., arXiv:2310.10505
 */
function remax(input: AdvantageInput): AdvantageEstimate {
  const scores = scoresOf(input);
  const baselines = required(input.baselines, 'remax', 'baselines');
  if (baselines.length !== scores.length) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `remax: baselines [${baselines.length}] for scores [B=${scores.length}]`,
    );
  }
  const leads = scores.map((score, row) => score - baselines[row]!);
  const returns = new Float32Array(tokenCount(input));
  walkBackwards(input, (t, toGo) => {
    const reward = isCounted(input, t) ? input.rewards[t]! : 0;
    returns[t] = toGo + reward;
    return returns[t]; // as it was rounded
  });
  return { advantages: atTokens(leads, input), returns };
}

/**
 * REINFORCE++: the discounted reward to go, whitened over the tokens of the batch.
 * Masked tokens end the running return.
 *
 * @see Hu, arXiv:2501.03262
 */
function reinforcePlusPlus(input: AdvantageInput): AdvantageEstimate {
  assertTokenLengths('reinforce_plus_plus', input, { rewards: input.rewards });
  const gamma = f32(input.gamma);
  const returns = new Float32Array(tokenCount(input));
  walkBackwards(input, (t, running) => {
    returns[t] = input.rewards[t]! + f32(gamma * running);
    return isCounted(input, t) ? returns[t] : 0;
  });
  return { advantages: maskedWhiten(returns, input), returns };
}

/**
 * Generalised advantage estimation, whitened over the tokens of the batch; returns are the advantages
 * before whitening plus the values (`input.values`).
 *
 * The walk back through a response passes over masked tokens, so tool output between two turns costs no discount. A
 * masked token is left with the advantage of the counted token after it, as in EasyR1.
 *
 * @see Schulman et al., arXiv:1506.02438
 */
function generalizedAdvantage(input: AdvantageInput): AdvantageEstimate {
  const { rewards, offsets } = input;
  const values = required(input.values, 'gae', 'values');
  assertTokenLengths('gae', input, { rewards, values });
  const gamma = f32(input.gamma);
  const decay = f32(input.gamma * input.lambda); // a product of options, rounded where it meets a tensor
  const advantages = new Float32Array(values.length);
  const returns = new Float32Array(values.length);
  for (let i = 0; i < rowCount(input); i++) {
    let advantage = 0;
    let nextValue = 0;
    for (let t = offsets[i + 1]! - 1; t >= offsets[i]!; t--) {
      if (isCounted(input, t)) {
        const delta = f32(f32(rewards[t]! + f32(gamma * nextValue)) - values[t]!); // r + γV' - V
        advantage = f32(delta + f32(decay * advantage)); // δ + γλA'
        nextValue = values[t]!;
        returns[t] = advantage + nextValue;
      } else {
        returns[t] = advantage;
      }
      advantages[t] = advantage;
    }
  }
  return { advantages: maskedWhiten(advantages, input), returns };
}

/** Sum of token rewards of each response, f32 `[B]`. */
function scoresOf(input: AdvantageInput): Float32Array {
  assertTokenLengths('advantage', input, { rewards: input.rewards });
  return rowSums(input.rewards, input);
}

/** Walks every row from its last token to its first, carrying one number that starts at 0 in each row. */
function walkBackwards(
  { offsets }: TokenRows,
  visit: (t: number, carried: number) => number,
): void {
  for (let i = 0; i + 1 < offsets.length; i++) {
    let carried = 0;
    for (let t = offsets[i + 1]! - 1; t >= offsets[i]!; t--) carried = visit(t, carried);
  }
}

/** Returns the function from a group's scores to the number that the group's differences are divided by, f32. */
function divisorFor(scale: RewardScale, scores: Float32Array): (group: Float32Array) => number {
  const divisorOf = (values: Float32Array): number =>
    f32(momentsOf(values).deviation + DEVIATION_EPSILON);
  switch (scale) {
    case 'group':
      return divisorOf;
    case 'batch': {
      const ofBatch = divisorOf(scores);
      return () => ofBatch;
    }
    case 'none':
      return () => 1;
  }
}

/** Mean and deviation with n - 1, f32. */
function momentsOf(scores: Float32Array): { mean: number; deviation: number } {
  const mean = sum(scores) / scores.length;
  const squares = scores.reduce((total, score) => total + (score - mean) ** 2, 0);
  return { mean: f32(mean), deviation: f32(Math.sqrt(squares / (scores.length - 1))) };
}

function required<T>(value: T | undefined, estimator: string, field: string): T {
  if (value === undefined) {
    throw new CxmindError('SHAPE_MISMATCH', `${estimator}: ${field} are missing`);
  }
  return value;
}
