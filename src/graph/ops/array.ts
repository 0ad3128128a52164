/** Dense arrays of doubles and walks through them, for the reference kernels of ops (`Op.evaluate`). */
import type { DType } from '../../tensor/dtype.ts';
import { numbersOf } from '../../tensor/numbers.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import { broadcastShapes, shapeError } from '../shape.ts';

/**
 * A dense array of the reference evaluator, with the elements of every dtype as doubles.
 *
 * Finite differences of a graph are then exact to about 1e-9.
 */
export interface NdArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** A tensor's elements as doubles. */
export function arrayOf(tensor: Tensor): NdArray {
  return { dtype: tensor.dtype, shape: tensor.shape, data: numbersOf(tensor) };
}

/** An array of zeros. */
export function blank(dtype: DType, shape: readonly number[]): NdArray {
  return { dtype, shape, data: new Float64Array(sizeOf(shape)) };
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Strides that read an array as if broadcast to `shape`: 0 along axes where it has one element. */
export function broadcastStrides(from: readonly number[], shape: readonly number[]): number[] {
  const strides = stridesOf(from);
  const lead = shape.length - from.length;
  return shape.map((_, axis) =>
    axis < lead || from[axis - lead] === 1 ? 0 : strides[axis - lead]!,
  );
}

/** Calls `visit(position, offsets)` for every element in row-major order, with an offset for each list of strides. */
export function walk(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  visit: (position: number, offsets: readonly number[]) => void,
): void {
  const total = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  const offsets = strides.map(() => 0);
  for (let position = 0; position < total; position++) {
    visit(position, offsets);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const wraps = ++index[axis]! === shape[axis];
      const moved = wraps ? 1 - shape[axis]! : 1;
      for (let k = 0; k < strides.length; k++) offsets[k]! += moved * strides[k]![axis]!;
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}

/** Applies a function to the elements of broadcast arrays. */
export function mapArrays(
  dtype: DType,
  arrays: readonly NdArray[],
  f: (...values: number[]) => number,
): NdArray {
  const shape = broadcastShapes(arrays.map((array) => array.shape));
  if (shape === undefined) throw shapeError('interpret', 'shapes do not broadcast', arrays);
  const result = blank(dtype, shape as number[]);
  const strides = arrays.map((array) => broadcastStrides(array.shape, result.shape));
  walk(result.shape, strides, (position, offsets) => {
    result.data[position] = f(...arrays.map((array, k) => array.data[offsets[k]!]!));
  });
  return result;
}

/** Copies the elements at `start` plus `strides` into an array of `shape`. */
export function readStrided(
  array: NdArray,
  shape: readonly number[],
  strides: readonly number[],
  start = 0,
): NdArray {
  const result = blank(array.dtype, shape);
  walk(shape, [strides], (position, [offset]) => {
    result.data[position] = array.data[start + offset!]!;
  });
  return result;
}

/** A shape as `[outer, size, inner]` around one axis. */
export function aroundAxis(
  shape: readonly number[],
  axis: number,
): { outer: number; size: number; inner: number } {
  return {
    outer: sizeOf(shape.slice(0, axis)),
    size: shape[axis]!,
    inner: sizeOf(shape.slice(axis + 1)),
  };
}
