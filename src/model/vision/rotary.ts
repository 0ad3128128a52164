import type { Grid } from '../../tensor/patch-levels.ts';
import { inverseFrequencies, tableOf, type RotaryTable } from '../rotary.ts';

/**
 * Visits the patches of an image or video in the order of the processor: frame by frame, in merge-block order, which is
 * block row, block column, row in block, column in block.
 */
export function visitMergedPatches(
  [t, h, w]: Grid,
  mergeSize: number,
  visit: (row: number, column: number) => void,
): void {
  for (let frame = 0; frame < t; frame++) {
    for (let blockRow = 0; blockRow < h; blockRow += mergeSize) {
      for (let blockColumn = 0; blockColumn < w; blockColumn += mergeSize) {
        for (let y = 0; y < mergeSize; y++) {
          for (let x = 0; x < mergeSize; x++) visit(blockRow + y, blockColumn + x);
        }
      }
    }
  }
}

/**
 * Rotary angles of the vision tower: the first half of the frequencies follows the patch's row, the second half its
 * column.
 *
 * @param grids `[t, h, w]` in patches, one per image
 */
export function visionRotary(
  grids: readonly Grid[],
  headDim: number,
  mergeSize: number,
): RotaryTable {
  const rows: number[] = [];
  const columns: number[] = [];
  for (const grid of grids) {
    visitMergedPatches(grid, mergeSize, (row, column) => {
      rows.push(row);
      columns.push(column);
    });
  }
  const frequencies = inverseFrequencies(headDim / 2, 10_000);
  const half = frequencies.length;
  return tableOf(rows.length, headDim / 2, (t, j) =>
    j < half ? rows[t]! * frequencies[j]! : columns[t]! * frequencies[j - half]!,
  );
}
