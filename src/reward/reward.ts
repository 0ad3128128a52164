import type { Answer } from '../data/row.ts';
import type { GateSpec } from './gate.ts';

/**
 * What a reward sees of one response; the prompt and its images are not passed.
 *
 * @typeParam T the kind of answer the data set has, where it is not text
 */
export interface RewardInput<T extends Answer = string> {
  /** Decoded text of the response, end-of-turn token included unless special tokens are skipped. */
  readonly response: string;
  /** Number of response tokens. */
  readonly responseLength: number;
  /** The row's answer as the data set has it: for chains, a whole reference transcript. */
  readonly groundTruth: T;
}

/** A score by part. `overall` is the reward itself; every part becomes the metric `reward/<part>`. */
export type RewardParts = Record<string, number> & { overall: number };

/** A named scoring rule. */
export interface Reward {
  readonly name: string;
  /** Scores in the order of the batch, one map each. */
  score(batch: readonly RewardInput<Answer>[]): RewardParts[] | Promise<RewardParts[]>;
}

/** A reward of ours, before it is told its options. */
export interface BuiltIn {
  /**
   * Its batch gate where it has one: it then leaves its bonuses out of `overall`, and the trainer adds them, by
   * `gateStep`, after gathering the whole rollout batch.
   */
  readonly gate?: Pick<GateSpec, 'rule' | 'key' | 'bonus'>;
  /** How one response is scored, its answer being text. @throws CONFIG_INVALID naming every wrong option */
  configure(kwargs: Readonly<Record<string, unknown>>): (input: RewardInput) => RewardParts;
}
