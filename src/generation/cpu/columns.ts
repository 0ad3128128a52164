import type { Tensor } from '../../tensor/tensor.ts';

function widthOf(tensor: Tensor, count: number): number {
  return tensor.data.length / count;
}

/** Copies rows `index[i]` of `source [R, n]` to rows `i` of `target [index.length, n]`. */
export function gatherRows(
  source: Tensor<'f32'>,
  index: readonly number[],
  target: Tensor<'f32'>,
): void {
  const width = widthOf(target, index.length);
  for (const [i, row] of index.entries()) {
    const start = row * width;
    target.data.set(source.data.subarray(start, start + width), i * width);
  }
}

/** Copies rows `index[i]` of `source [R, n]` to columns `i` of `target [n, index.length]`. */
export function gatherColumns(
  source: Tensor<'f32'>,
  index: readonly number[],
  target: Tensor<'f32'>,
): void {
  const count = index.length;
  const width = widthOf(target, count);
  const from = source.data;
  const to = target.data;
  // Writes run from first to last: a write costs more than a read where another core read last.
  const starts = Int32Array.from(index, (row) => row * width);
  for (let j = 0, at = 0; j < width; j++) {
    for (let i = 0; i < count; i++, at++) to[at] = from[starts[i]! + j]!;
  }
}
