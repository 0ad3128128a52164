import type { VisionPlan } from '../architecture.ts';
import type { Grid } from '../batch.ts';
import type { VisionConfig } from '../model-config.ts';
import { consecutive } from '../segments.ts';
import { visionRotary } from './vision-rotary.ts';
import { frameLengths, windowSegments } from './windows.ts';

/** Rotary angles and segments of a vision pass: most blocks attend within windows, a few within whole frames. */
export function visionPlan(vision: VisionConfig, grids: readonly Grid[]): VisionPlan {
  const { hiddenSize, heads, mergeSize, depth, fullAttentionBlocks } = vision;
  const windows = windowSegments(grids, vision);
  const frames = consecutive(frameLengths(grids));
  return {
    rotary: visionRotary(grids, hiddenSize / heads, mergeSize),
    segments: Array.from({ length: depth }, (_, i) =>
      fullAttentionBlocks.includes(i) ? frames : windows,
    ),
  };
}
