import type { View } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import type { Graph } from '../graph/ir.ts';
import type { TextConfig } from '../model/model-config.ts';
import type { FloatDType } from '../tensor/dtype.ts';

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
  /** The graph whose only output are the distributions it draws from: the model's head, of rows of hidden states. */
  readonly headGraph: (text: TextConfig, dtype: FloatDType) => Graph;
  /**
   * One token for each request.
   *
   * The log-probability is of the whole tempered distribution, before top-k and top-p, as the trainer's
   * own log-probabilities are.
   *
   * @param distributions f32 `[B, V]`, as the head's graph gives them: logits over temperature (plain ones when greedy),
   *   or their softmax
   * @throws NUMERIC_NONFINITE when the probabilities are not numbers
   */
  draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]>;
}

/**
 * How many of the likeliest tokens a draw is from, 0 for all, and from which share of their mass. A greedy draw is of the
 * likeliest one.
 */
export function drawBounds(
  { temperature, topK, topP }: Sampling,
  vocabulary: number,
): { readonly topK: number; readonly topP: number } {
  if (temperature === 0) return { topK: 1, topP: 1 };
  return { topK: topK > 0 && topK < vocabulary ? topK : 0, topP };
}

/** What logits are multiplied by. */
export function inverseTemperatureOf({ temperature }: Sampling): number {
  return temperature === 0 ? 1 : 1 / temperature;
}

/**
 * A drawn token and its log-probability.
 *
 * @throws NUMERIC_NONFINITE when the latter is not a number
 */
export function drawOf(token: number, logProb: number): Draw {
  if (Number.isFinite(logProb)) return { token, logProb };
  throw new CxmindError(
    'NUMERIC_NONFINITE',
    "the model's token probabilities are not finite: its weights are spoilt, by a learning rate " +
      '(worker.actor.optim.lr) too high or in the checkpoint (worker.actor.model.model_path)',
  );
}
