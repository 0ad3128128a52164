import type { GateSpec } from './gate.ts';

/** What a reward sees of one response; the prompt and its images are not passed. */
export interface RewardInput {
  /** Decoded text of the response, end-of-turn token included unless special tokens are skipped. */
  readonly response: string;
  /** Number of response tokens. */
  readonly responseLength: number;
  /** The row's answer: for chains, a whole reference transcript. */
  readonly groundTruth: string;
}

/** A score by part. `overall` is the reward itself; every part becomes the metric `reward/<part>`. */
export type RewardParts = Record<string, number> & { overall: number };

/**
 * A named scoring rule.
 *
 * A rule with a `gate` leaves its bonuses out of `overall`: the trainer adds them after gathering the
 * whole rollout batch, by `gateStep`.
 */
export interface Reward {
  readonly name: string;
  readonly gate?: GateSpec;
  /** Scores in the order of the batch, one map each, all with the same parts. */
  score(batch: readonly RewardInput[]): RewardParts[] | Promise<RewardParts[]>;
}
