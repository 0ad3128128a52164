import type { VisionPlan } from '../architecture.ts';
import type { Grid } from '../batch.ts';
import type { VisionConfig } from '../model-config.ts';
import { consecutive } from '../segments.ts';
import { visionRotary } from './rotary.ts';

/** Lengths of the segments of the vision tower's full attention, one for each frame of each image. */
export function frameLengths(grids: readonly Grid[]): number[] {
  return grids.flatMap(([t, h, w]) => Array<number>(t).fill(h * w));
}

/** Rotary angles and segments of a vision pass whose blocks all attend within whole frames. */
export function framePlan(vision: VisionConfig, grids: readonly Grid[]): VisionPlan {
  const { hiddenSize, heads, mergeSize, depth } = vision;
  const frames = consecutive(frameLengths(grids));
  return {
    rotary: visionRotary(grids, hiddenSize / heads, mergeSize),
    segments: Array<number[][]>(depth).fill(frames),
  };
}
