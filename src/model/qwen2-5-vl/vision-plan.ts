import type { VisionPlan } from '../architecture.ts';
import type { Grid } from '../batch.ts';
import type { VisionConfig } from '../model-config.ts';
import { consecutive } from '../segments.ts';
import { visionRotary } from '../vision/rotary.ts';
import { frameLengths } from '../vision/frames.ts';
import { windowSegments } from './windows.ts';

/** Rotary angles and segments of a vision pass: most blocks attend within windows, a few within whole frames. */
export function visionPlan(vision: VisionConfig, grids: readonly Grid[]): VisionPlan {
  const { hiddenSize, heads, mergeSize, depth, windows } = vision;
  const frames = consecutive(frameLengths(grids));
  const local =
    windows === null ? frames : windowSegments(grids, { ...vision, windowSize: windows.size });
  return {
    rotary: visionRotary(grids, hiddenSize / heads, mergeSize),
    segments: Array.from({ length: depth }, (_, i) =>
      windows?.fullBlocks.includes(i) ? frames : local,
    ),
  };
}
