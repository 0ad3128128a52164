import type { Device } from '../device/device.ts';
import type { PackedBatch } from './batch.ts';
import type { ModelConfig } from './model-config.ts';
import { Network, type NetworkOptions } from './network.ts';
import type { AnyArena } from './weights/device-arena.ts';

/**
 * A critic: the policy's network with one number a row as its head. The value of a response token is that of the row
 * before it, which predicts it.
 */
export class ValueModel extends Network {
  constructor(device: Device, config: ModelConfig, arena: AnyArena, options: NetworkOptions) {
    super(device, config, arena, 'value', options);
  }

  /** The values of the scored tokens, f32 `[R]`. */
  values(batch: PackedBatch): Promise<Float32Array> {
    return this.scores(batch);
  }
}
