import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { visionPlan } from '../../../src/model/vision/plan.ts';
import { windowSegments } from '../../../src/model/vision/windows.ts';
import { goldenPath } from '../../support/golden.ts';

type Grid = readonly [number, number, number];

/**
 * The reference's `get_window_index`: the merged grid is padded to whole windows, numbered, cut into
 * windows, and the padding dropped. Returns the merged rows window by window and where windows end.
 */
function windowIndex(
  grids: readonly Grid[],
  {
    windowSize,
    patchSize,
    mergeSize,
  }: { windowSize: number; patchSize: number; mergeSize: number },
): { order: number[]; ends: number[] } {
  const side = Math.floor(windowSize / mergeSize / patchSize);
  const order: number[] = [];
  const ends: number[] = [];
  let base = 0;
  for (const [t, h, w] of grids) {
    const [height, width] = [h / mergeSize, w / mergeSize];
    const padHeight = side - (height % side);
    const padWidth = side - (width % side);
    const across = (width + padWidth) / side;
    const down = (height + padHeight) / side;
    for (let frame = 0; frame < t; frame++) {
      for (let window = 0; window < down * across; window++) {
        const [top, left] = [Math.floor(window / across) * side, (window % across) * side];
        const before = order.length;
        for (let place = 0; place < side * side; place++) {
          const [y, x] = [top + Math.floor(place / side), left + (place % side)];
          if (y < height && x < width) order.push(base + (frame * height + y) * width + x);
        }
        if (order.length > before) ends.push(order.length);
      }
    }
    base += t * height * width;
  }
  return { order, ends };
}

describe('windowSegments', () => {
  const options = { windowSize: 112, patchSize: 14, mergeSize: 2 };

  it('cuts 6 x 10 patches with windows of 4 patches a side in 2 x 3, the last ones smaller', () => {
    const segments = windowSegments([[1, 6, 10]], { ...options, windowSize: 56 });
    assert.deepEqual(
      segments.map((segment) => segment.length),
      [16, 16, 8, 8, 8, 4],
    );
    // Merged squares 0 and 1 of the first row and 5 and 6 of the second, four patches each.
    assert.deepEqual(segments[0], [0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23, 24, 25, 26, 27]);
    assert.deepEqual(segments[5], [56, 57, 58, 59]);
  });

  it('makes the windows of the reference, for any images', () => {
    const even = fc.integer({ min: 1, max: 9 }).map((n) => 2 * n);
    const grid = fc.tuple(fc.integer({ min: 1, max: 3 }), even, even);
    const windowSize = fc.constantFrom(28, 56, 84, 112, 120);
    fc.assert(
      fc.property(fc.array(grid, { minLength: 1, maxLength: 4 }), windowSize, (grids, size) => {
        const segments = windowSegments(grids, { ...options, windowSize: size });
        const { order, ends } = windowIndex(grids, { ...options, windowSize: size });
        const expected = ends.map((end, i) =>
          order
            .slice(ends[i - 1] ?? 0, end)
            .flatMap((m) => [4 * m, 4 * m + 1, 4 * m + 2, 4 * m + 3]),
        );
        assert.deepEqual(segments, expected);
      }),
    );
  });

  it('are left out where blocks attend in full: one segment per frame', async () => {
    const { vision } = await readModelConfig(goldenPath('families/qwen2-vl'));
    const { segments } = visionPlan(vision!, [
      [2, 4, 6],
      [1, 2, 2],
    ]);
    for (const frames of segments) {
      assert.deepEqual(
        frames.map(({ length }) => length),
        [24, 24, 4],
      );
    }
  });
});
