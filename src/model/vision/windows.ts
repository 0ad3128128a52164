import type { Grid } from '../../tensor/patch-levels.ts';

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
    const [rows, columns] = [h / mergeSize, w / mergeSize];
    const [down, across] = [Math.ceil(rows / side), Math.ceil(columns / side)];
    for (let frame = 0; frame < t; frame++) {
      const windows = Array.from({ length: down * across }, (): number[] => []);
      for (let place = 0; place < rows * columns; place++) {
        const [y, x] = [Math.floor(place / columns), place % columns];
        const window = windows[Math.floor(y / side) * across + Math.floor(x / side)]!;
        for (let i = 0; i < unit; i++) window.push(frameStart + place * unit + i);
      }
      segments.push(...windows);
      frameStart += h * w;
    }
  }
  return segments;
}
