import type { Grid } from '../batch.ts';
import { inverseFrequencies, tableOf, type RotaryTable } from '../rotary.ts';

/**
 * Rotary angles of the vision tower: the first half of the frequencies follows the patch's row, the second half its
 * column. Patches come in merge-block order: block row, block column, row in block, column in block.
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
  for (const [t, h, w] of grids) {
    for (let frame = 0; frame < t; frame++) {
      for (let blockRow = 0; blockRow < h; blockRow += mergeSize) {
        for (let blockColumn = 0; blockColumn < w; blockColumn += mergeSize) {
          for (let y = 0; y < mergeSize; y++) {
            for (let x = 0; x < mergeSize; x++) {
              rows.push(blockRow + y);
              columns.push(blockColumn + x);
            }
          }
        }
      }
    }
  }
  const frequencies = inverseFrequencies(headDim / 2, 10_000);
  const half = frequencies.length;
  return tableOf(rows.length, headDim / 2, (t, j) =>
    j < half ? rows[t]! * frequencies[j]! : columns[t]! * frequencies[j - half]!,
  );
}
