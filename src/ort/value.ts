import { CxmindError } from '../errors.ts';
import { isShared } from '../tensor/memory.ts';
import { sizeOf, type Tensor } from '../tensor/tensor.ts';
import type { DeviceTensor } from './device-tensor.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import type { Context } from './context.ts';

/** Memory that can be bound: the host's or a device's. */
export type Source = Tensor | DeviceTensor;

/**
 * Makes a native value (OrtValue), a tensor over memory that is already there. The caller releases it, and keeps the
 * memory referenced as long as a binding uses it.
 *
 * @throws SHAPE_MISMATCH when shape and data disagree, or the shape has more than 16 axes; DTYPE_MISMATCH when the data
 *   are not in shared memory
 */
export function valueOver({ native, hostMemory }: Context, source: Source, where: string): bigint {
  const { dtype, shape } = source;
  const isOnDevice = 'memory' in source;
  const [memory, place] = isOnDevice
    ? [source.memory.info, source.address]
    : [hostMemory, hostData(source, where)];
  const { byteLength } = isOnDevice ? source : source.data;
  const dims = native.dims(shape, where);
  return native.out(where, (slot) =>
    native.functions.CreateTensorWithDataAsOrtValue(
      memory,
      place,
      byteLength,
      dims,
      shape.length,
      onnxDTypes[dtype],
      slot,
    ),
  );
}

function hostData({ dtype, shape, data }: Tensor, where: string): Tensor['data'] {
  if (!isShared(data.buffer)) {
    throw new CxmindError(
      'DTYPE_MISMATCH',
      `${where}: expected ${dtype} data in shared memory, got an ArrayBuffer, which may move`,
    );
  }
  if (data.length !== sizeOf(shape)) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `${where}: shape [${shape.join(', ')}] and ${data.length} elements do not agree`,
    );
  }
  return data;
}
