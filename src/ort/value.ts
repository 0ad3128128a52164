import { CxmindError } from '../errors.ts';
import { isShared, lastingBuffer } from '../tensor/memory.ts';
import { sizeOf, type Tensor } from '../tensor/tensor.ts';
import type { DeviceTensor } from './device-tensor.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import type { Native } from './native.ts';

/** Most axes of a tensor. */
const MOST_AXES = 16;

/** Makes native values (OrtValue), which are tensors over memory that is already there. */
export class ValueMaker {
  readonly #native: Native;
  readonly #memoryInfo: bigint;
  readonly #dims = new BigInt64Array(lastingBuffer(8 * MOST_AXES));

  /** @param memoryInfo describes the CPU's memory */
  constructor(native: Native, memoryInfo: bigint) {
    this.#native = native;
    this.#memoryInfo = memoryInfo;
  }

  /**
   * Makes a native value over a tensor's own memory. The caller releases it, and keeps `tensor.data` referenced as long
   * as a binding uses it.
   *
   * @throws SHAPE_MISMATCH when shape and data disagree, or the shape has more than 16 axes; DTYPE_MISMATCH when the
   *   data are not in shared memory
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

  /** Makes a native value over a device's memory. The caller releases it. */
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
