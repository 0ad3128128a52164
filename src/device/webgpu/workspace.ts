import type { DeviceAllocator } from '../../ort/device-allocator.ts';
import type { DType } from '../../tensor/dtype.ts';
import { byteLengthOf, type Tensor } from '../../tensor/tensor.ts';
import type { Device, Workspace } from '../device.ts';
import { Storage, type BufferView } from './view.ts';

/** A workspace with a buffer for every tensor, since buffers cannot be cut. Buffers of one size are used again. */
export class BufferWorkspace implements Workspace {
  readonly #device: Device;
  readonly #allocator: DeviceAllocator;
  readonly #taken: Storage[] = [];
  readonly #free = new Map<number, Storage[]>();
  #sizeBytes = 0;

  constructor(device: Device, allocator: DeviceAllocator) {
    this.#device = device;
    this.#allocator = allocator;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): BufferView<D> {
    const storage = this.storage(sizeClass(byteLengthOf({ dtype, shape })));
    return { device: this.#device, dtype, shape, storage };
  }

  put<D extends DType>(tensor: Tensor<D>): BufferView<D> {
    const view = this.take(tensor.dtype, tensor.shape);
    this.#device.upload(tensor, view);
    return view;
  }

  /** A buffer of `byteLength` bytes, a multiple of 256, taken as a tensor is. */
  storage(byteLength: number): Storage {
    const storage = this.#free.get(byteLength)?.pop() ?? this.#make(byteLength);
    this.#taken.push(storage);
    return storage;
  }

  scope(): Disposable {
    const start = this.#taken.length;
    return {
      [Symbol.dispose]: () => {
        this.#giveBackFrom(start);
      },
    };
  }

  #giveBackFrom(start: number): void {
    for (const storage of this.#taken.splice(start)) {
      const free = this.#free.get(storage.byteLength);
      if (free === undefined) this.#free.set(storage.byteLength, [storage]);
      else free.push(storage);
    }
  }

  reset(): void {
    this.#giveBackFrom(0);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  [Symbol.dispose](): void {
    this.reset();
    for (const storage of [...this.#free.values()].flat()) storage[Symbol.dispose]();
    this.#free.clear();
  }

  #make(byteLength: number): Storage {
    this.#sizeBytes += byteLength;
    return new Storage(this.#allocator, byteLength);
  }
}

/** Rounds a size up to eighths of a power of two, so that tensors of similar sizes share buffers. */
function sizeClass(byteLength: number): number {
  const step = Math.max(256, 2 ** Math.floor(Math.log2(Math.max(1, byteLength)) - 3));
  return Math.max(1, Math.ceil(byteLength / step)) * step;
}
