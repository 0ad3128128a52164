import type { VisionPlan } from '../architecture.ts';
import type { Grid } from '../batch.ts';
import type { VisionConfig } from '../model-config.ts';
import { consecutive } from '../segments.ts';
import { visionRotary } from './rotary.ts';
import { windowSegments } from './windows.ts';

/**
 * Rotary angles and segments of a vision pass: blocks attend within whole frames or, in a tower with windows, most of
 * them within those.
 */
export function visionPlan(vision: VisionConfig, grids: readonly Grid[]): VisionPlan {
  const { hiddenSize, heads, mergeSize, depth, windows } = vision;
  const frames = consecutive(grids.flatMap(([t, h, w]) => Array<number>(t).fill(h * w)));
  const local =
    windows === null ? frames : windowSegments(grids, { ...vision, windowSize: windows.size });
  return {
    rotary: visionRotary(grids, hiddenSize / heads, mergeSize),
    segments: Array.from({ length: depth }, (_, i) =>
      windows?.fullBlocks.includes(i) ? frames : local,
    ),
  };
}
