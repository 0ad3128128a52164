/** The space of places that a kernel walks, and the way in which a value's elements lie in it. */
import { sizeOf } from '../../tensor/tensor.ts';
import type { Dim } from '../ir.ts';
import type { Shapes } from '../kernel.ts';
import { sameShape, shapesOf } from '../shape.ts';
import type { Region } from './region.ts';

/**
 * The places of a kernel's space that one element of a value serves.
 *
 * The leading axes of the space are its rows, the others its columns. A value has an element for each place (`full`), for
 * each row, for each column, or one in all (`scalar`). `other` is any other broadcast.
 */
export type Extent = 'full' | 'row' | 'column' | 'scalar' | 'other';

/**
 * The extent of a value of one shape in a space.
 *
 * @param rowAxes number of leading axes that are rows; all but the last unless given
 */
export function extentIn(
  space: readonly Dim[],
  shape: readonly Dim[],
  rowAxes = Math.max(0, space.length - 1),
): Extent {
  const isOne = (dim: Dim): boolean => dim === 1;
  if (sameShape(shape, space)) return 'full';
  if (shape.length > space.length) return 'other';
  // The one row of a space is all of its rows.
  if (shape.every(isOne)) return space.slice(0, rowAxes).every(isOne) ? 'row' : 'scalar';
  const aligned = [...new Array<Dim>(space.length - shape.length).fill(1), ...shape];
  const [lead, rest] = [aligned.slice(0, rowAxes), aligned.slice(rowAxes)];
  if (rest.every(isOne) && sameShape(lead, space.slice(0, rowAxes))) return 'row';
  return lead.every(isOne) && sameShape(rest, space.slice(rowAxes)) ? 'column' : 'other';
}

/** True if a value has one element for each row, or fewer. */
export function isPerRow(extent: Extent): boolean {
  return extent === 'row' || extent === 'scalar';
}

/** Threads that share a row: a power of two, enough for all its packs, but no more than `most`. */
export function rowThreads(width: number, pack: number, most: number): number {
  let threads = 1;
  while (threads < most && threads * pack < width) threads *= 2;
  return threads;
}

/** The sizes of a region's axes in one run, and its number of rows and their width. */
export function sizesIn(
  { space, inputs, sizes: sources }: Region,
  shapes: Shapes,
  rowAxes = Math.max(0, space.length - 1),
): { readonly sizes: readonly number[]; readonly rows: number; readonly width: number } {
  const sizes = shapesOf([{ shape: space }], [...inputs, ...sources], shapes)[0]!;
  return { sizes, rows: sizeOf(sizes.slice(0, rowAxes)), width: sizeOf(sizes.slice(rowAxes)) };
}
