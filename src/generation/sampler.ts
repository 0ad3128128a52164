import type { View } from '../device/device.ts';

/** How the next token is drawn; `temperature` 0 is greedy, `topK` -1 and `topP` 1 are off. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
}

/** A drawn token and its log-probability under the full, tempered distribution. */
export interface Draw {
  readonly token: number;
  readonly logProb: number;
}

/** A draw to make. */
export interface DrawRequest {
  /** The row of its distribution. */
  readonly row: number;
  readonly sampling: Sampling;
  /** In [0, 1); decides the draw, but for a greedy one. */
  readonly uniform: number;
}

/** Draws tokens from distributions where they lie. */
export interface Sampler {
  /**
   * One token for each request.
   *
   * The log-probability is of the whole tempered distribution, before top-k and top-p, as the trainer's
   * own log-probabilities are.
   *
   * @param distributions f32 `[B, V]`, softmax of logits over temperature (of the plain logits when greedy)
   * @throws NUMERIC_NONFINITE when the probabilities are not numbers
   */
  draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]>;
}
