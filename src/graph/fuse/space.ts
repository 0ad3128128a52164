import type { Dim } from '../ir.ts';
import type { Shapes } from '../kernel.ts';
import { sameShape, shapesOf } from '../shape.ts';
import type { Region } from './region.ts';

/**
 * How the elements of a value are found from a place `[row, column]` of the space that a kernel walks, whose leading axes
 * are its rows: there is one for each place, each row, each column, or only one; `other` is any other broadcast.
 */
export type Extent = 'full' | 'row' | 'column' | 'scalar' | 'other';

/**
 * The extent of a value of one shape in a space.
 *
 * @param rowAxes of the space; all but the last unless said otherwise
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

/** Whether a value has no more than one element for each row. */
export function isPerRow(extent: Extent): boolean {
  return extent === 'row' || extent === 'scalar';
}

/** The sizes of a region's space in a run: of its axes, and how many rows of which width they are. */
export function sizesIn(
  { space, inputs, sizes: sources }: Region,
  shapes: Shapes,
  rowAxes = Math.max(0, space.length - 1),
): { readonly sizes: readonly number[]; readonly rows: number; readonly width: number } {
  const sizes = shapesOf([space], [...inputs, ...sources], shapes)[0]!;
  const product = (some: readonly number[]): number => some.reduce((a, b) => a * b, 1);
  return { sizes, rows: product(sizes.slice(0, rowAxes)), width: product(sizes.slice(rowAxes)) };
}
