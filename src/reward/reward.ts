import type { Answer } from '../data/row.ts';
import type { GateSpec } from './gate.ts';

/**
 * Response as a reward sees it. The prompt and its images are not passed.
 *
 * @typeParam T type of the data set's answers
 */
export interface RewardInput<T extends Answer = string> {
  /** Decoded text of the response, with its end-of-turn token unless special tokens are skipped. */
  readonly response: string;
  /** Number of response tokens. */
  readonly responseLength: number;
  /** Answer of the row as the data set has it. For chains it is a whole reference transcript. */
  readonly groundTruth: T;
}

/** Score by part. `overall` is the reward itself. Every part becomes the metric `reward/<part>`. */
export type RewardParts = Record<string, number> & { overall: number };

/** Named scoring rule. */
export interface Reward {
  readonly name: string;
  /** Scores a batch, one map for each response, in order. */
  score(batch: readonly RewardInput<Answer>[]): RewardParts[] | Promise<RewardParts[]>;
}

/** Built-in reward before it gets its options. */
export interface BuiltIn {
  /**
   * Batch gate. A gated reward leaves its bonuses out of `overall`. The trainer adds them by `gateStep`, once it has
   * the whole rollout batch.
   */
  readonly gate?: Pick<GateSpec, 'rule' | 'key' | 'bonus'>;
  /** Makes the function that scores one response. @throws CONFIG_INVALID naming every wrong option */
  configure(kwargs: Readonly<Record<string, unknown>>): (input: RewardInput) => RewardParts;
}
