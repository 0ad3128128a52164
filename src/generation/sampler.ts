/** The interface of samplers, and the settings, requests and results of draws. */
import type { View, Workspace } from '../device/device.ts';
import { putIndex } from '../device/host-tensors.ts';
import { CxmindError } from '../errors.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { LogitEdit } from './logit-control.ts';

/** Sampling of the next token; `temperature` 0 is greedy, `topK` -1 and `topP` 1 are off. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
}

/** A drawn token and its log-probability under the full, tempered distribution. */
export interface Draw {
  readonly token: number;
  readonly logProb: number;
  /** The likeliest tokens with their log-probabilities, in falling order, where they were asked for. */
  readonly likeliest?: readonly Omit<Draw, 'likeliest'>[];
}

/** Outputs of a head's graph: f32 `[B, V]`, and what a sampler without kernels draws from. */
export interface HeadOutputs {
  /** Logits over temperature, plain ones when greedy. */
  readonly logits: View;
  /** Softmax of the logits, where the sampler draws from it. */
  readonly probabilities?: View;
}

/** Request for a draw. */
export interface DrawRequest {
  /** Row of the distribution. */
  readonly row: number;
  readonly sampling: Sampling;
  /** Number in [0, 1) that decides the draw; greedy sampling ignores it. */
  readonly uniform: number;
  /** Changes of the logits; none where it is left out or null. */
  readonly edit?: LogitEdit | null;
}

/** Draws tokens from distributions on a device. */
export interface Sampler extends Disposable {
  /**
   * Draws one token for each request.
   *
   * The log-probability is of the whole tempered distribution, before top-k and top-p, as the trainer's
   * own log-probabilities are.
   *
   * @param distributions f32 `[B, V]`, as the head's graph gives them: logits over temperature (plain ones when
   *   greedy), or their softmax
   * @throws NUMERIC_NONFINITE when the probabilities are not numbers
   */
  draw(distributions: View, requests: readonly DrawRequest[]): Promise<Draw[]>;
}

/**
 * Bounds of a draw: the number of likeliest tokens, 0 for all, and the share of their mass. A greedy draw is from the
 * likeliest token.
 */
export function drawBounds(
  { temperature, topK, topP }: Sampling,
  vocabulary: number,
): { readonly topK: number; readonly topP: number } {
  if (temperature === 0) return { topK: 1, topP: 1 };
  return { topK: topK > 0 && topK < vocabulary ? topK : 0, topP };
}

/** Inputs of B draws on a device. */
export interface DrawInputs {
  /** The row of each draw, `[B]`. */
  readonly rows: View<'i32'>;
  readonly uniform: View; // f32 [B, 1]
  readonly topK: View; // f32 [B, 1], as `drawBounds`
  readonly topP: View; // f32 [B, 1], as `drawBounds`
}

/** Puts the inputs of draws where a device can read them. */
export function putDraws(
  workspace: Workspace,
  requests: readonly DrawRequest[],
  bounds: readonly ReturnType<typeof drawBounds>[],
): DrawInputs {
  const column = (numbers: readonly number[]): View =>
    workspace.put(tensorOf('f32', [numbers.length, 1], numbers));
  return {
    rows: putRows(workspace, requests),
    uniform: column(requests.map(({ uniform }) => uniform)),
    topK: column(bounds.map(({ topK }) => topK)),
    topP: column(bounds.map(({ topP }) => topP)),
  };
}

/** Puts the row of each draw where a device can read it, `[B]`. */
export function putRows(workspace: Workspace, requests: readonly DrawRequest[]): View<'i32'> {
  return putIndex(
    workspace,
    Int32Array.from(requests, ({ row }) => row),
  );
}

/** Factor on the logits; 1 for greedy sampling. */
export function inverseTemperatureOf({ temperature }: Sampling): number {
  return temperature === 0 ? 1 : 1 / temperature;
}

/**
 * Makes a draw of a token and its log-probability.
 *
 * @throws NUMERIC_NONFINITE when the log-probability is not finite
 */
export function drawOf(token: number, logProb: number): Draw {
  if (Number.isFinite(logProb)) return { token, logProb };
  throw new CxmindError(
    'NUMERIC_NONFINITE',
    "the model's token probabilities are not finite: its weights are spoilt, by a learning rate " +
      '(worker.actor.optim.lr) too high or in the checkpoint (worker.actor.model.model_path)',
  );
}
