/**
 * Qwen3-VL's patch embedding: a product, and learned positions that lie on a square grid and are interpolated to an
 * image's own grid.
 *
 * @see `fast_pos_embed_interpolate` of Qwen3-VL in transformers
 */
import { GraphBuilder } from '../../graph/builder.ts';
import { productDim } from '../../graph/dim.ts';
import type { Graph } from '../../graph/ir.ts';
import { zeros, type Tensors } from '../../tensor/tensor.ts';
import type { FloatDType } from '../../tensor/dtype.ts';
import type { VisionPlan } from '../architecture.ts';
import type { Grid } from '../batch.ts';
import type { VisionConfig } from '../model-config.ts';
import { patchSizeOf } from '../vision/patch-embed.ts';
import { visionPlan } from '../vision/plan.ts';
import { visitMergedPatches } from '../vision/rotary.ts';

/** Learned positions around a patch's place, of which its own is interpolated. */
const CORNERS = 4;

/**
 * The patch embedding: `patches f32 [T, C·Pt·P·P]` to `output [T, D]`, in the dtype of the weights.
 *
 * Inputs of the plan: `corners i32 [4 · T]`, the learned positions around each patch, all first ones first, and their
 * shares `f32 [4 · T, 1]`.
 */
export function patchEmbedGraph(config: VisionConfig, dtype: FloatDType = 'f32'): Graph {
  const g = new GraphBuilder('vision-patch-embed');
  const { hiddenSize, positionGrid } = config;
  const size = patchSizeOf(config);
  const all = productDim([CORNERS, 'T']);
  const patches = g.input('patches', 'f32', ['T', size]);
  const corners = g.input('corners', 'i32', [all]);
  const shares = g.input('shares', 'f32', [all, 1]);
  const weight = g.input('weight', dtype, [hiddenSize, size]);
  const bias = g.input('bias', dtype, [hiddenSize]);
  const positions = g.input('positions', dtype, [positionGrid! ** 2, hiddenSize]);
  const parts = g.mul(g.cast(g.gather(positions, corners), 'f32'), shares);
  const interpolated = g.reduceSum(g.reshape(parts, [CORNERS, 'T', hiddenSize]), [0]);
  const embedded = g.linear(g.cast(patches, dtype), weight, bias);
  g.output('output', g.add(embedded, g.cast(interpolated, dtype)));
  return g.build();
}

/** Rotary angles and segments of a vision pass, and the learned positions of its patches. */
export function plan(vision: VisionConfig, grids: readonly Grid[]): VisionPlan {
  return { ...visionPlan(vision, grids), patchInputs: interpolation(vision, grids) };
}

/** A place on one side of the learned grid: the positions before and behind it, and the share of the latter. */
interface Place {
  readonly before: number;
  readonly behind: number;
  readonly share: number;
}

/** The places of `count` patches that are spread evenly from one end of the learned grid to the other. */
function places(count: number, side: number): Place[] {
  return Array.from({ length: count }, (_, i) => {
    const at = Math.fround(count === 1 ? 0 : (i * (side - 1)) / (count - 1));
    const before = Math.floor(at);
    return { before, behind: Math.min(before + 1, side - 1), share: at - before };
  });
}

function interpolation({ positionGrid, mergeSize }: VisionConfig, grids: readonly Grid[]): Tensors {
  const side = positionGrid!;
  const count = grids.reduce((sum, [t, h, w]) => sum + t * h * w, 0);
  const corners = zeros('i32', [CORNERS * count]);
  const shares = zeros('f32', [CORNERS * count, 1]);
  let patch = 0;
  for (const grid of grids) {
    const [rows, columns] = [places(grid[1], side), places(grid[2], side)];
    visitMergedPatches(grid, mergeSize, (row, column) => {
      const [y, x] = [rows[row]!, columns[column]!];
      const put = (corner: number, top: number, left: number, share: number): void => {
        corners.data[corner * count + patch] = top * side + left;
        shares.data[corner * count + patch] = share;
      };
      put(0, y.before, x.before, (1 - y.share) * (1 - x.share));
      put(1, y.before, x.behind, (1 - y.share) * x.share);
      put(2, y.behind, x.before, y.share * (1 - x.share));
      put(3, y.behind, x.behind, y.share * x.share);
      patch++;
    });
  }
  return { corners, shares };
}
