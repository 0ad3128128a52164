import type { Grid } from '../batch.ts';

/**
 * The windows of the vision tower's local attention: each frame's merged grid is cut into squares of `windowSize`
 * pixels, the last of a row or column being smaller.
 *
 * The reference reorders the patches window by window, and back. Attention does not depend on order, so here a window
 * is the list of its patches in the processor's order.
 *
 * @param grids `[t, h, w]` in patches, one per image
 * @returns packed patch rows of each window
 */
export function windowSegments(
  grids: readonly Grid[],
  options: { windowSize: number; patchSize: number; mergeSize: number },
): number[][] {
  const { windowSize, patchSize, mergeSize } = options;
  const side = Math.floor(windowSize / mergeSize / patchSize);
  const unit = mergeSize * mergeSize;
  const segments: number[][] = [];
  let frameStart = 0;
  for (const [t, h, w] of grids) {
    const mergedHeight = h / mergeSize;
    const mergedWidth = w / mergeSize;
    for (let frame = 0; frame < t; frame++) {
      for (let top = 0; top < mergedHeight; top += side) {
        for (let left = 0; left < mergedWidth; left += side) {
          const segment: number[] = [];
          for (let y = top; y < Math.min(top + side, mergedHeight); y++) {
            for (let x = left; x < Math.min(left + side, mergedWidth); x++) {
              const first = frameStart + (y * mergedWidth + x) * unit;
              for (let i = 0; i < unit; i++) segment.push(first + i);
            }
          }
          segments.push(segment);
        }
      }
      frameStart += h * w;
    }
  }
  return segments;
}
