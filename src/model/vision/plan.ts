import type { Tensors } from '../../tensor/tensor.ts';
import type { Grid } from '../../tensor/patch-levels.ts';
import type { VisionConfig } from '../model-config.ts';
import type { RotaryTable } from '../rotary.ts';
import { consecutive } from '../segments.ts';
import { cornersOf } from './learned-positions.ts';
import { visionRotary } from './rotary.ts';
import { windowSegments } from './windows.ts';

/** Inputs of a vision pass besides patches, hidden rows and weights. */
interface VisionPlan {
  /** Inputs of the patch embedding. */
  readonly patchInputs: Tensors;
  /** Rotary angles, one row per patch. */
  readonly rotary: RotaryTable;
  /** Groups of rows that attend to each other, for every block; blocks with like attention share one value. */
  readonly segments: readonly number[][][];
}

/** Plans a vision pass: blocks attend within whole frames or, in a tower with windows, most of them within those. */
export function visionPlan(vision: VisionConfig, grids: readonly Grid[]): VisionPlan {
  const { hiddenSize, heads, mergeSize, depth, windows, positionGrid } = vision;
  const frames = consecutive(grids.flatMap(([t, h, w]) => Array<number>(t).fill(h * w)));
  const local =
    windows === null ? frames : windowSegments(grids, { ...vision, windowSize: windows.size });
  return {
    patchInputs: positionGrid === null ? {} : cornersOf(grids, positionGrid, mergeSize),
    rotary: visionRotary(grids, hiddenSize / heads, mergeSize),
    segments: Array.from({ length: depth }, (_, i) =>
      windows?.fullBlocks.includes(i) ? frames : local,
    ),
  };
}
