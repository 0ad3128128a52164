import type { Device, View } from '../device/device.ts';
import { downloadFloats, uploadFloats } from '../device/float-transfer.ts';
import type { Arena } from '../model/weights/arena.ts';
import type { DeviceArena } from '../model/weights/device-arena.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { rows, type Tensor } from '../tensor/tensor.ts';
import type { DeviceExchange, Sharing } from './exchange.ts';
import type { SteppedWeights } from './stepped-weights.ts';

/**
 * Weights that are stepped in a device's own memory, and are copied to this process's memory on demand.
 *
 * The working copy, with which models compute, is stepped itself where it has the full precision: in f32, or where the
 * weights are rounded to its dtype anyway. Otherwise every learner keeps its part of the weights in f32 beside it.
 */
export class DeviceWeights implements SteppedWeights {
  readonly own: View<'f32' | 'bf16'>;
  readonly ownWorking: View<FloatDType> | null;
  readonly #device: Device;
  readonly #working: DeviceArena;
  readonly #sharing: Sharing;
  readonly #exchange: DeviceExchange;
  /** The learner's part in this process's memory. */
  readonly #onHost: Tensor<'f32'>;
  readonly #weights: Tensor<'f32'>;
  readonly #owned = new DisposableStack();

  /**
   * @param weights initial weights, in this process's memory
   * @param working the copy that models compute with, on the device, filled with the weights
   * @param storage dtype that weights are rounded to after a step
   */
  constructor(
    device: Device,
    weights: Arena,
    working: DeviceArena,
    storage: FloatDType,
    sharing: Sharing,
    exchange: DeviceExchange,
  ) {
    const { rank, size } = sharing.group;
    const part = weights.data.length / size;
    const ownWorking = device.part(working.flat, rank * part, [part]);
    this.#device = device;
    this.#working = working;
    this.#sharing = sharing;
    this.#exchange = exchange;
    this.#weights = weights.flat;
    this.#onHost = rows(weights.flat, rank * part, (rank + 1) * part);
    if (isSteppedItself(ownWorking, storage)) {
      this.own = ownWorking;
      this.ownWorking = null;
    } else {
      this.own = this.#owned.use(device.allocate('f32', [part]));
      this.ownWorking = ownWorking;
      uploadFloats(device, this.#onHost, this.own);
    }
  }

  async spread(): Promise<void> {
    await this.#exchange.allGather(this.ownWorking ?? this.own, this.#working.flat);
    await this.#device.idle();
  }

  async take(): Promise<void> {
    const { group, sharesWeights } = this.#sharing;
    await group.barrier();
    if (!sharesWeights) await group.broadcast(this.#weights, 0);
    uploadFloats(this.#device, this.#weights, this.#working.flat);
    if (this.ownWorking !== null) uploadFloats(this.#device, this.#onHost, this.own);
    await this.#device.idle();
  }

  async collect(): Promise<void> {
    await downloadFloats(this.#device, this.own, this.#onHost);
    await this.#sharing.group.barrier();
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Tells whether the working copy has the weights' full precision, given that a step rounds them to `storage`. */
export function isSteppedItself<T extends { readonly dtype: FloatDType }>(
  working: T,
  storage: FloatDType,
): working is T & { readonly dtype: 'f32' | 'bf16' } {
  const { dtype } = working;
  return dtype === 'f32' || (dtype === 'bf16' && dtype === storage);
}
