import type { Device } from '../device/device.ts';
import type { PackedBatch } from './batch.ts';
import type { AnyArena } from './weights/device-arena.ts';
import { valueHeadGraph } from './heads.ts';
import { Network, type HeadInputs, type NetworkOptions } from './network.ts';
import { modelModules } from './parameters.ts';
import type { ModelConfig } from './model-config.ts';

const nothing: HeadInputs = () => ({});

/**
 * A critic over an arena of weights: the policy's decoder with one number as its head. The value of a response token
 * is what the row before it says, the row that predicts it. It computes in the arena's dtype.
 */
export class ValueModel implements Disposable {
  readonly #network: Network;

  constructor(device: Device, config: ModelConfig, arena: AnyArena, options: NetworkOptions) {
    const head = {
      graph: valueHeadGraph(config.text, arena.dtype),
      output: 'values',
      rowBytes: 4 * config.text.hiddenSize,
      modules: modelModules(config, 'value'),
    };
    this.#network = new Network(device, config, arena, head, options);
  }

  /** The values of the scored tokens, f32 `[R]`, one per entry of `batch.scoredRows`. */
  values(batch: PackedBatch): Promise<Float32Array> {
    return this.#network.scores(batch, nothing);
  }

  /**
   * One forward and backward pass; gradients are added to `gradients`.
   *
   * @param lossGradient from the values `[R]` to the derivative of the loss by each, `[R]`
   * @param gradients an arena of the weights' layout
   */
  accumulateGradients(
    batch: PackedBatch,
    lossGradient: (values: Float32Array) => Float32Array,
    gradients: AnyArena<'f32'>,
  ): Promise<void> {
    return this.#network.accumulateGradients(batch, nothing, lossGradient, gradients);
  }

  [Symbol.dispose](): void {
    this.#network[Symbol.dispose]();
  }
}
