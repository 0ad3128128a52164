import type { Device } from '../device/device.ts';
import type { PackedBatch } from './batch.ts';
import type { ModelConfig } from './model-config.ts';
import { Network, type NetworkOptions } from './network.ts';
import type { AnyArena } from './weights/device-arena.ts';

/** A policy: the network whose scores are log-probabilities of given tokens, in nats. */
export class Policy extends Network {
  constructor(device: Device, config: ModelConfig, arena: AnyArena, options: NetworkOptions) {
    super(device, config, arena, 'policy', options);
  }

  /** Log-probabilities of the scored tokens, f32 `[R]`; `temperature` divides the logits before the softmax. */
  logProbs(batch: PackedBatch, temperature: number): Promise<Float32Array> {
    return this.scores(batch, temperature);
  }

  /** Log-probabilities of the scored tokens, and entropies of their distributions, f32 `[R]` each, in nats. */
  logProbsAndEntropies(
    batch: PackedBatch,
    temperature: number,
  ): Promise<readonly [logProbs: Float32Array, entropies: Float32Array]> {
    return this.scoresAndEntropies(batch, temperature);
  }
}
