import type { Tensor } from './tensor.ts';

function widthOf(tensor: Tensor): number {
  return tensor.data.length / Math.max(1, tensor.shape[0]!);
}

/** Copies rows `index[i]` of `source [R, …]` to rows `i` of `target [index.length, …]`. */
export function gatherRows(
  source: Tensor<'f32'>,
  index: ArrayLike<number>,
  target: Tensor<'f32'>,
): void {
  const width = widthOf(target);
  for (let i = 0; i < index.length; i++) {
    const from = index[i]! * width;
    target.data.set(source.data.subarray(from, from + width), i * width);
  }
}

/** Copies rows `index[i]` of `source [R, n]` to columns `i` of `target [n, index.length]`. */
export function gatherColumns(
  source: Tensor<'f32'>,
  index: ArrayLike<number>,
  target: Tensor<'f32'>,
): void {
  const count = index.length;
  const width = target.data.length / count;
  const from = source.data;
  const to = target.data;
  // Written from first to last: a write is dearer than a read, where the last reader was another core.
  const starts = Int32Array.from(index, (row) => row * width);
  for (let j = 0, at = 0; j < width; j++) {
    for (let i = 0; i < count; i++, at++) to[at] = from[starts[i]! + j]!;
  }
}

/** Copies rows `i` of `source` to rows `index[i]` of `target`; no index twice. */
export function placeRows(
  source: Tensor<'f32'>,
  index: ArrayLike<number>,
  target: Tensor<'f32'>,
): void {
  const width = widthOf(source);
  for (let i = 0; i < index.length; i++) {
    target.data.set(source.data.subarray(i * width, (i + 1) * width), index[i]! * width);
  }
}

/** Adds rows `i` of `source` to rows `index[i]` of `target`, in order, so repeats add up exactly alike. */
export function addRows(
  source: Tensor<'f32'>,
  index: ArrayLike<number>,
  target: Tensor<'f32'>,
): void {
  const width = widthOf(source);
  const from = source.data;
  const to = target.data;
  for (let i = 0; i < index.length; i++) {
    const base = index[i]! * width;
    for (let j = 0, at = i * width; j < width; j++, at++) to[base + j]! += from[at]!;
  }
}
