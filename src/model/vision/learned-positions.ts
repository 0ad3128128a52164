/**
 * Learned positions of patches, which lie on a square grid and are interpolated to an image's own grid.
 *
 * @see `fast_pos_embed_interpolate` of Qwen3-VL in transformers
 */
import type { GraphBuilder } from '../../graph/builder.ts';
import { productDim } from '../../graph/dim.ts';
import type { Value } from '../../graph/ir.ts';
import { zeros, type Tensors } from '../../tensor/tensor.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { Grid } from '../../tensor/patch-levels.ts';
import { visitMergedPatches } from './rotary.ts';

/** Learned positions around a patch, from which its own position is interpolated. */
const CORNERS = 4;

/**
 * The learned positions of patches, f32 `[T, D]`.
 *
 * It declares the inputs that `cornersOf` makes, and `positions [side², D]`.
 */
export function learnedPositions(
  g: GraphBuilder,
  side: number,
  width: number,
  dtype: FloatDType,
): Value {
  const all = productDim([CORNERS, 'T']);
  const corners = g.input('corners', 'i32', [all]);
  const shares = g.input('shares', 'f32', [all, 1]);
  const positions = g.input('positions', dtype, [side ** 2, width]);
  const parts = g.mul(g.cast(g.gather(positions, corners), 'f32'), shares);
  return g.reduceSum(g.reshape(parts, [CORNERS, 'T', width]), [0]);
}

/** The learned positions before and after a patch along one axis, and the share of the latter. */
interface Neighbours {
  readonly before: number;
  readonly after: number;
  readonly share: number;
}

/** The neighbours of `count` patches that are spread evenly from one end of the learned grid to the other. */
function neighboursOf(count: number, side: number): Neighbours[] {
  return Array.from({ length: count }, (_, i) => {
    const at = Math.fround(count === 1 ? 0 : (i * (side - 1)) / (count - 1));
    const before = Math.floor(at);
    return { before, after: Math.min(before + 1, side - 1), share: at - before };
  });
}

/**
 * Makes the inputs that interpolate positions: `corners i32 [4 · T]`, indices of the four learned positions around each
 * patch, the first ones of all patches first, and their weights `shares f32 [4 · T, 1]`.
 *
 * @param side of the learned grid
 */
export function cornersOf(grids: readonly Grid[], side: number, mergeSize: number): Tensors {
  const count = grids.reduce((sum, [t, h, w]) => sum + t * h * w, 0);
  const corners = zeros('i32', [CORNERS * count]);
  const shares = zeros('f32', [CORNERS * count, 1]);
  let patch = 0;
  for (const grid of grids) {
    const [rows, columns] = [neighboursOf(grid[1], side), neighboursOf(grid[2], side)];
    visitMergedPatches(grid, mergeSize, (row, column) => {
      const [y, x] = [rows[row]!, columns[column]!];
      const put = (corner: number, top: number, left: number, share: number): void => {
        corners.data[corner * count + patch] = top * side + left;
        shares.data[corner * count + patch] = share;
      };
      put(0, y.before, x.before, (1 - y.share) * (1 - x.share));
      put(1, y.before, x.after, (1 - y.share) * x.share);
      put(2, y.after, x.before, y.share * (1 - x.share));
      put(3, y.after, x.after, y.share * x.share);
      patch++;
    });
  }
  return { corners, shares };
}
