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
  if ('device' in array) return nearArray(array);
  return device.host === null ? farArray(device, array) : nearArray(device.host.view(array));
}

/** An array that the device reaches without a copy: on itself, or in memory or a file of its host. */
function nearArray<D extends FloatDType>(whole: View<D>): SlicedArray<D> {
  const { device, dtype } = whole;
  const length = sizeOf(whole.shape);
  const part = (start: number, count: number): View<D> =>
    count === length ? whole : device.part(whole, start, [count]);
  return {
    dtype,
    length,
    take: (start, count) => {
      const slice = part(start, count);
      bringInView(slice, 'write');
      return slice;
    },
    put: (_start, slice) => {
      letGoView(slice);
      return Promise.resolve();
    },
    fill: (start, from) => {
      const slice = part(start, from.data.length);
      device.upload(from, slice);
      letGoView(slice);
    },
    read: () => readTensor(whole),
    // Whoever made the array owns it.
    [Symbol.dispose]: () => undefined,
  };
}

/** An array in this process's memory, copied slice by slice to a device with memory of its own. */
function farArray<D extends FloatDType>(device: Device, whole: Tensor<D>): SlicedArray<D> {
  const { dtype, data } = whole;
  /** Device memory for a slice, as long as the first. */
  let memory: (View<D> & Disposable) | null = null;
  const part = (start: number, count: number): Tensor<D> => rows(whole, start, start + count);
  const fill = (start: number, from: Tensor<D>): void => {
    const to = part(start, from.data.length);
    copyElements(from, to);
    letGo(to.data);
  };
  return {
    dtype,
    length: data.length,
    take: (start, count) => {
      memory ??= device.allocate(dtype, [count]);
      const isWhole = sizeOf(memory.shape) === count;
      const slice = isWhole ? memory : device.part(memory, 0, [count]);
      device.upload(part(start, count), slice);
      return slice;
    },
    put: async (start, slice) => fill(start, await device.download(slice)),
    fill,
    read: () => Promise.resolve(whole),
    [Symbol.dispose]: () => {
      memory?.[Symbol.dispose]();
      memory = null;
    },
  };
}
