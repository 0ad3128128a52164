import type { Device, View } from '../device/device.ts';
import { bringInView, letGoView, readTensor } from '../device/host-tensors.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { letGo } from '../tensor/file-memory.ts';
import { copyElements, rows, sizeOf, type Tensor } from '../tensor/tensor.ts';

/** An array on a device, or in this process's memory. */
export type Placed<D extends FloatDType = FloatDType> = View<D> | Tensor<D>;

/** A flat array that a device updates slice after slice, wherever it lies between two updates. */
export interface SlicedArray<D extends FloatDType = FloatDType> extends Disposable {
  readonly dtype: D;
  readonly length: number;
  /** Takes a slice to where the device reads and writes it; one at a time, the first the longest. */
  take(start: number, length: number): View<D>;
  /** Gives a slice back, with the results of all work queued before. */
  put(start: number, slice: View<D>): Promise<void>;
  /** Writes the elements from `start` on. */
  fill(start: number, from: Tensor<D>): void;
  /** The whole array: itself where this process can see it, else a copy. */
  read(): Promise<Tensor<D>>;
}

/** The slices of an array for a device, which need not be where the array lies. */
export function slicedArray<D extends FloatDType>(
  device: Device,
  array: Placed<D>,
): SlicedArray<D> {
  if ('device' in array) return new NearArray(array);
  return device.host === null
    ? new FarArray(device, array)
    : new NearArray(device.host.view(array));
}

/** An array that the device reaches without a copy: on itself, or in memory or a file of its host. */
class NearArray<D extends FloatDType> implements SlicedArray<D> {
  readonly dtype: D;
  readonly length: number;
  readonly #whole: View<D>;

  constructor(whole: View<D>) {
    this.dtype = whole.dtype;
    this.length = sizeOf(whole.shape);
    this.#whole = whole;
  }

  take(start: number, length: number): View<D> {
    const slice = this.#part(start, length);
    bringInView(slice, 'write');
    return slice;
  }

  put(_start: number, slice: View<D>): Promise<void> {
    letGoView(slice);
    return Promise.resolve();
  }

  fill(start: number, from: Tensor<D>): void {
    const slice = this.#part(start, from.data.length);
    this.#whole.device.upload(from, slice);
    letGoView(slice);
  }

  read(): Promise<Tensor<D>> {
    return readTensor(this.#whole);
  }

  #part(start: number, length: number): View<D> {
    if (length === this.length) return this.#whole;
    return this.#whole.device.part(this.#whole, start, [length]);
  }

  /** Does nothing: whoever made the array owns it. */
  [Symbol.dispose](): void {}
}

/** An array in this process's memory, copied slice by slice to a device with memory of its own. */
class FarArray<D extends FloatDType> implements SlicedArray<D> {
  readonly dtype: D;
  readonly length: number;
  readonly #device: Device;
  readonly #whole: Tensor<D>;
  /** Device memory for a slice, as long as the first. */
  #slice: (View<D> & Disposable) | null = null;

  constructor(device: Device, whole: Tensor<D>) {
    this.dtype = whole.dtype;
    this.length = whole.data.length;
    this.#device = device;
    this.#whole = whole;
  }

  take(start: number, length: number): View<D> {
    this.#slice ??= this.#device.allocate(this.dtype, [length]);
    const isWhole = sizeOf(this.#slice.shape) === length;
    const slice = isWhole ? this.#slice : this.#device.part(this.#slice, 0, [length]);
    this.#device.upload(this.#rows(start, length), slice);
    return slice;
  }

  async put(start: number, slice: View<D>): Promise<void> {
    this.fill(start, await this.#device.download(slice));
  }

  fill(start: number, from: Tensor<D>): void {
    const to = this.#rows(start, from.data.length);
    copyElements(from, to);
    letGo(to.data);
  }

  read(): Promise<Tensor<D>> {
    return Promise.resolve(this.#whole);
  }

  #rows(start: number, length: number): Tensor<D> {
    return rows(this.#whole, start, start + length);
  }

  [Symbol.dispose](): void {
    this.#slice?.[Symbol.dispose]();
    this.#slice = null;
  }
}
