import type { Device } from '../device/device.ts';
import { tensorOf } from '../tensor/tensor.ts';
import type { PackedBatch } from './batch.ts';
import type { AnyArena } from './weights/device-arena.ts';
import { formFor } from './graph-form.ts';
import { headGraph } from './heads.ts';
import { Network, type HeadInputs, type NetworkOptions } from './network.ts';
import { modelModules } from './parameters.ts';
import type { ModelConfig } from './model-config.ts';

/**
 * A vision-language model over an arena of weights: log-probabilities of given tokens, and their
 * gradients, block by block over packed sequences. It computes in the arena's dtype.
 */
export class Policy implements Disposable {
  readonly config: ModelConfig;
  readonly #network: Network;

  constructor(device: Device, config: ModelConfig, arena: AnyArena, options: NetworkOptions) {
    this.config = config;
    const head = {
      graph: headGraph(config.text, arena.dtype, formFor(device)),
      output: 'logProbs',
      rowBytes: 4 * config.text.vocabSize,
      modules: modelModules(config, 'policy'),
    };
    this.#network = new Network(device, config, arena, head, options);
  }

  /**
   * Log-probabilities of the scored tokens.
   *
   * @param temperature divides the logits before the softmax
   * @returns f32 `[R]`, one per entry of `batch.scoredRows`
   */
  logProbs(batch: PackedBatch, temperature: number): Promise<Float32Array> {
    return this.#network.scores(batch, tokenInputs(batch, temperature));
  }

  /**
   * One forward and backward pass; gradients are added to `gradients`.
   *
   * @param lossGradient from the log-probabilities `[R]` to the derivative of the loss by each, `[R]`
   * @param gradients an arena laid out as what is trained: the weights, the weights without the vision tower, or
   *   the adapters
   */
  accumulateGradients(
    batch: PackedBatch,
    temperature: number,
    lossGradient: (logProbs: Float32Array) => Float32Array,
    gradients: AnyArena<'f32'>,
  ): Promise<void> {
    const inputs = tokenInputs(batch, temperature);
    return this.#network.accumulateGradients(batch, inputs, lossGradient, gradients);
  }

  /** Bytes of activation memory held for reuse. */
  get workspaceBytes(): number {
    return this.#network.workspaceBytes;
  }

  [Symbol.dispose](): void {
    this.#network[Symbol.dispose]();
  }
}

/** Which tokens are scored, and at what temperature. */
function tokenInputs({ targets }: PackedBatch, temperature: number): HeadInputs {
  const inverseTemperature = tensorOf('f32', [], [1 / temperature]);
  return (start, end) => ({
    targets: tensorOf('i64', [end - start, 1], Array.from(targets.subarray(start, end))),
    inverseTemperature,
  });
}
