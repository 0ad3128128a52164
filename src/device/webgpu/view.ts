import { CxmindError } from '../../errors.ts';
import type { DeviceAllocator } from '../../ort/device-allocator.ts';
import type { DeviceTensor } from '../../ort/device-tensor.ts';
import type { DType } from '../../tensor/dtype.ts';
import { byteLengthOf } from '../../tensor/tensor.ts';
import type { View } from '../device.ts';

/** Smallest size of a buffer, in bytes; other sizes are multiples of it. */
const BUFFER_STEP = 256;

/** A buffer on the card, which can be exchanged for another. Views of one storage see the same buffer. */
export class Storage implements Disposable {
  readonly byteLength: number;
  readonly #allocator: DeviceAllocator;
  #buffer: bigint;

  constructor(allocator: DeviceAllocator, byteLength: number) {
    this.byteLength = Math.max(1, Math.ceil(byteLength / BUFFER_STEP)) * BUFFER_STEP;
    this.#allocator = allocator;
    this.#buffer = allocator.allocate(this.byteLength);
  }

  /** Exchanges buffers with another storage of this size. */
  swap(other: Storage): void {
    [this.#buffer, other.#buffer] = [other.#buffer, this.#buffer];
  }

  /** A tensor at the start of the buffer, as a binding takes it. */
  tensor(dtype: DType, shape: readonly number[]): DeviceTensor {
    const byteLength = byteLengthOf({ dtype, shape });
    return { dtype, shape, address: this.#buffer, byteLength, memory: this.#allocator };
  }

  [Symbol.dispose](): void {
    this.#allocator.free(this.#buffer);
  }
}

/** A tensor in a buffer of its own. */
export interface BufferView<D extends DType = DType> extends View<D> {
  readonly storage: Storage;
}

/**
 * The storage of a view.
 *
 * @throws INTERNAL for a view of another device
 */
export function storageOf(view: View): Storage {
  if ('storage' in view && view.storage instanceof Storage) return view.storage;
  throw new CxmindError('INTERNAL', `a tensor on ${view.device.name} is not on webgpu`);
}
