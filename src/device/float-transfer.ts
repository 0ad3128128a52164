import type { FloatDType } from '../tensor/dtype.ts';
import { floatsOf } from '../tensor/numbers.ts';
import { rows, sizeOf, type Tensor } from '../tensor/tensor.ts';
import type { Device, View } from './device.ts';

/** Elements on their way at a time: few enough that a second copy of them costs little. */
const AT_ONCE = 2 ** 24;

/** Copies f32 numbers of the host's, `[N]`, into a view of any float dtype on an addressable device, rounded there. */
export function uploadFloats(device: Device, from: Tensor<'f32'>, to: View<FloatDType>): void {
  using workspace = device.workspace();
  for (const { start, end } of pieces(to)) {
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

/** Copies what a view of any float dtype on an addressable device holds, exactly, to f32 numbers of the host's, `[N]`. */
export async function downloadFloats(
  device: Device,
  from: View<FloatDType>,
  to: Tensor<'f32'>,
): Promise<void> {
  for (const { start, end } of pieces(from)) {
    const piece = await device.download(device.part(from, start, [end - start]));
    to.data.set(floatsOf(piece), start);
  }
}

function* pieces({ shape }: View): Iterable<{ readonly start: number; readonly end: number }> {
  const length = sizeOf(shape);
  for (let start = 0; start < length; start += AT_ONCE) {
    yield { start, end: Math.min(length, start + AT_ONCE) };
  }
}
