import { CxmindError } from '../../errors.ts';
import { bytesOf, type TypedArrays } from '../../tensor/dtype.ts';
import { floatsOf, writeFloats } from '../../tensor/numbers.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import type { Operations, View } from '../device.ts';
import { hostTensor } from './host-view.ts';

/**
 * Operations on this process's own memory, in plain TypeScript.
 *
 * Each passes once over the elements that it moves or adds. Rows are added in the order of the index, so that sums are
 * the same from run to run. A graph in ONNX Runtime would pass over copies of the index as well.
 */
export const cpuOperations: Operations = {
  zero(target) {
    bytesOf(hostTensor(target).data).fill(0);
  },

  copy(from, to) {
    const [source, target] = [hostTensor(from), hostTensor(to)];
    checkSizes('copy', sizeOf(source.shape), sizeOf(target.shape));
    if (source.dtype === target.dtype) bytesOf(target.data).set(bytesOf(source.data));
    else writeFloats(target, 0, floatsOf(source));
  },

  gatherRows(source, index, target) {
    const { from, to, width, places } = rowsOf(source, index, target);
    for (let i = 0; i < places.length; i++) {
      const start = places[i]! * width;
      to.set(from.subarray(start, start + width), i * width);
    }
  },

  placeRows(source, index, target) {
    const { from, to, width, places } = rowsOf(source, index, target);
    for (let i = 0; i < places.length; i++) {
      to.set(from.subarray(i * width, (i + 1) * width), places[i]! * width);
    }
  },

  addRows(source, index, target) {
    const { data: places } = hostTensor(index);
    const from = floatsOf(hostTensor(source));
    const sum = hostTensor(target);
    const to = floatsOf(sum);
    const width = widthOf(sum);
    checkSizes('addRows', from.length, places.length * width);
    for (let i = 0; i < places.length; i++) {
      const base = places[i]! * width;
      for (let j = 0, at = i * width; j < width; j++, at++) to[base + j]! += from[at]!;
    }
    if (sum.dtype !== 'f32') writeFloats(sum, 0, to);
  },

  squaredSum(view) {
    return Promise.resolve(squaredSum(floatsOf(hostTensor(view))));
  },
};

/** Both sides of a move of rows, as arrays of elements. */
function rowsOf(source: View, index: View<'i32'>, target: View): Rows {
  const [from, to] = [hostTensor(source), hostTensor(target)];
  if (from.dtype !== to.dtype) {
    throw new CxmindError('DTYPE_MISMATCH', `rows of ${from.dtype} do not go into ${to.dtype}`);
  }
  const { data: places } = hostTensor(index);
  // Elements are only moved, so any array type of their size will do.
  return {
    from: from.data as TypedArrays['f32'],
    to: to.data as TypedArrays['f32'],
    width: widthOf(from),
    places,
  };
}

interface Rows {
  readonly from: Float32Array;
  readonly to: Float32Array;
  readonly width: number;
  readonly places: Int32Array;
}

function widthOf({ shape }: Tensor): number {
  return sizeOf(shape.slice(1));
}

function checkSizes(what: string, got: number, wanted: number): void {
  if (got === wanted) return;
  throw new CxmindError('SHAPE_MISMATCH', `${what}: ${got} elements for ${wanted}`);
}

/** Sum of squares in float64. */
function squaredSum(values: Float32Array): number {
  // Four sums, so that their additions do not wait for one another.
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * values[i]!;
    b += values[i + 1]! * values[i + 1]!;
    c += values[i + 2]! * values[i + 2]!;
    d += values[i + 3]! * values[i + 3]!;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! * values[i]!;
  return a + b + c + d;
}
