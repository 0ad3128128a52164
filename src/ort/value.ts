import { CxmindError } from '../errors.ts';
import { isShared, lastingBuffer } from '../tensor/memory.ts';
import { sizeOf, type Tensor } from '../tensor/tensor.ts';
import type { DeviceTensor } from './device-tensor.ts';
import { Handle } from './handle.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import type { Native } from './native.ts';

/**
 * A tensor as ONNX Runtime sees it: the same memory, no copy. Make one for a weight once and bind it
 * in as many bindings as want it; it may be disposed while bindings still use it.
 */
export class OrtValue implements Disposable {
  readonly tensor: Tensor;
  readonly #handle: Handle;

  constructor(tensor: Tensor, handle: Handle) {
    this.tensor = tensor;
    this.#handle = handle;
  }

  /** @throws RUNTIME_FAILED after disposal */
  get pointer(): bigint {
    return this.#handle.pointer;
  }

  [Symbol.dispose](): void {
    this.#handle[Symbol.dispose]();
  }
}

/** Makes native values over tensors' memory; owned by a runtime. */
export class ValueMaker {
  readonly #native: Native;
  readonly #memoryInfo: bigint;
  readonly #dims = new BigInt64Array(lastingBuffer(8 * 16));

  /** @param memoryInfo where the tensors' memory is: the CPU's */
  constructor(native: Native, memoryInfo: bigint) {
    this.#native = native;
    this.#memoryInfo = memoryInfo;
  }

  /**
   * A native value over the tensor's own memory; the caller releases it, and keeps `tensor.data`
   * referenced for as long as any binding uses it.
   *
   * @throws SHAPE_MISMATCH when the data are not as many as the shape says, or more than 16 dimensions;
   *   DTYPE_MISMATCH when they are not in shared memory
   */
  make(tensor: Tensor, where: string): bigint {
    const { dtype, shape, data } = tensor;
    if (!isShared(data.buffer)) {
      throw new CxmindError(
        'DTYPE_MISMATCH',
        `${where}: expected ${dtype} data in shared memory, got an ArrayBuffer, which may move`,
      );
    }
    if (data.length !== sizeOf(shape) || shape.length > this.#dims.length) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `${where}: shape [${shape.join(', ')}] and ${data.length} elements do not agree`,
      );
    }
    return this.#over(this.#memoryInfo, data, data.byteLength, { dtype, shape }, where);
  }

  /** A native value over a device's memory; the caller releases it. */
  makeOnDevice(tensor: DeviceTensor, where: string): bigint {
    const { memory, address, byteLength } = tensor;
    return this.#over(memory.info, address, byteLength, tensor, where);
  }

  #over(
    memoryInfo: bigint,
    place: bigint | Tensor['data'],
    byteLength: number,
    { dtype, shape }: Pick<Tensor, 'dtype' | 'shape'>,
    where: string,
  ): bigint {
    for (let axis = 0; axis < shape.length; axis++) this.#dims[axis] = BigInt(shape[axis]!);
    return this.#native.out(where, (slot) =>
      this.#native.functions.CreateTensorWithDataAsOrtValue(
        memoryInfo,
        place,
        byteLength,
        this.#dims,
        shape.length,
        onnxDTypes[dtype],
        slot,
      ),
    );
  }
}
