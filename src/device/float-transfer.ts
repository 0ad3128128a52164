/** Copies between f32 numbers of the host and tensors of any float dtype on an addressable device. */
import type { FloatDType } from '../tensor/dtype.ts';
import { floatsOf } from '../tensor/numbers.ts';
import { slices } from '../tensor/slices.ts';
import { rows, sizeOf, type Tensor } from '../tensor/tensor.ts';
import type { Device, View } from './device.ts';

/** Elements that are copied at a time: few enough that a second copy of them costs little. */
const AT_ONCE = 2 ** 24;

/** Copies f32 `[N]` of the host into a view of any float dtype. The device rounds. */
export function uploadFloats(device: Device, from: Tensor<'f32'>, to: View<FloatDType>): void {
  using workspace = device.workspace();
  for (const { start, end } of slices(sizeOf(to.shape), AT_ONCE)) {
    const piece = rows(from, start, end);
    const target = device.part(to, start, piece.shape);
    if (to.dtype === 'f32') {
      device.upload(piece, target);
    } else {
      workspace.reset();
      device.operations.copy(workspace.put(piece), target);
    }
  }
}

/** Copies a view of any float dtype to f32 `[N]` of the host, exactly. */
export async function downloadFloats(
  device: Device,
  from: View<FloatDType>,
  to: Tensor<'f32'>,
): Promise<void> {
  for (const { start, length } of slices(sizeOf(from.shape), AT_ONCE)) {
    const piece = await device.download(device.part(from, start, [length]));
    to.data.set(floatsOf(piece), start);
  }
}
