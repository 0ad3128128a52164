import type { View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';

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
export interface Sampler extends Disposable {
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

/**
 * A drawn token of a probability.
 *
 * @throws NUMERIC_NONFINITE when the probability is not a positive number
 */
export function drawOf(token: number, probability: number): Draw {
  const logProb = Math.log(probability);
  if (Number.isFinite(logProb)) return { token, logProb };
  throw new CxmindError(
    'NUMERIC_NONFINITE',
    "the model's token probabilities are not finite: its weights are spoilt, by a learning rate " +
      '(worker.actor.optim.lr) too high or in the checkpoint (worker.actor.model.model_path)',
  );
}
