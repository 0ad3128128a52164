/** Parameters of a model on a device, as one flat tensor. */
import type { Device, View } from '../../device/device.ts';
import { uploadFloats } from '../../device/float-transfer.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import { ArenaIndex, layoutFrom, type ArenaLayout } from './arena-layout.ts';
import type { Arena } from './arena.ts';

/** All parameters of a model, or their gradients, as one flat tensor on a device. */
export class DeviceArena<D extends FloatDType = FloatDType> {
  readonly layout: ArenaLayout;
  /** Every element, padding included. */
  readonly flat: View<D>;
  readonly #index: ArenaIndex;

  /** @param flat as many elements as the layout has, on an addressable device */
  constructor(layout: ArenaLayout, flat: View<D>) {
    this.layout = layout;
    this.flat = flat;
    this.#index = new ArenaIndex(layout);
  }

  /**
   * An arena as a device sees it, without a copy. The device computes in this process's memory, or the arena is its own
   * already.
   */
  static of<D extends FloatDType>(device: Device, arena: AnyArena<D>): DeviceArena<D> {
    if (arena instanceof DeviceArena) return arena;
    return new DeviceArena(arena.layout, device.host!.view(arena.flat));
  }

  get dtype(): D {
    return this.flat.dtype;
  }

  has(name: string): boolean {
    return this.#index.has(name);
  }

  /** Neighbours as one tensor; arguments as in `Arena.span`. */
  span(names: readonly string[], shape?: readonly number[], part?: number): View<D> {
    const span = this.#index.span(names, shape, part);
    return this.flat.device.part(this.flat, span.start, span.shape);
  }

  /** The parameters that lie from element `start` on, over the same memory. */
  from(start: number): DeviceArena<D> {
    if (start === 0) return this;
    const layout = layoutFrom(this.layout, start);
    return new DeviceArena(layout, this.flat.device.part(this.flat, start, [layout.length]));
  }
}

/**
 * An arena that a device can compute with: the same one where the device reads this process's memory, else a copy that
 * lives as long as the device.
 *
 * @param dtype dtype of the copy
 * @throws DEVICE_OUT_OF_MEMORY
 */
export function placeArena(device: Device, arena: Arena, dtype: FloatDType): AnyArena {
  if (device.host !== null || !device.isAddressable) return arena;
  const copy = new DeviceArena(arena.layout, device.allocate(dtype, [arena.layout.length]));
  uploadFloats(device, arena.flat, copy.flat);
  return copy;
}

/** A model's parameters in this process's memory, or on a device. */
export type AnyArena<D extends FloatDType = FloatDType> = Arena<D> | DeviceArena<D>;
