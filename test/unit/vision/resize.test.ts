import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { VisionProcessor } from '../../../src/vision/processor.ts';
import { boundedSizes, smartResize } from '../../../src/vision/resize.ts';

type Pair = readonly [number, number];

const bounds = { minPixels: 262144, maxPixels: 4194304 };
const processor = new VisionProcessor({
  ...new VisionProcessor().settings,
  minPixels: 3136,
  maxPixels: 12845056,
});

describe('boundedSizes', () => {
  const cases: readonly { size: Pair; bounded: Pair; resized: Pair; tokens: number }[] = [
    { size: [3056, 2544], bounded: [2244, 1868], resized: [1876, 2240], tokens: 5360 },
    { size: [512, 512], bounded: [512, 512], resized: [504, 504], tokens: 324 },
    { size: [224, 224], bounded: [512, 512], resized: [504, 504], tokens: 324 },
    { size: [100, 50], bounded: [724, 362], resized: [364, 728], tokens: 338 },
    { size: [2048, 2048], bounded: [2048, 2048], resized: [2044, 2044], tokens: 5329 },
    { size: [4000, 1000], bounded: [4000, 1000], resized: [1008, 4004], tokens: 5148 },
    { size: [390, 320], bounded: [565, 463], resized: [476, 560], tokens: 340 },
  ];
  for (const { size, bounded, resized, tokens } of cases) {
    it(`gives the specification's sizes for ${size.join('x')}`, () => {
      const [width, height] = size;
      const last = boundedSizes({ width, height }, bounds).at(-1) ?? { width, height };
      const grid = processor.gridOf(last);
      assert.deepEqual([last.width, last.height], bounded);
      assert.deepEqual([grid[1] * 14, grid[2] * 14], resized);
      assert.equal(processor.tokensOf(grid), tokens);
    });
  }

  it('leaves every size alone without bounds', () => {
    assert.deepEqual(
      boundedSizes({ width: 1, height: 9 }, { minPixels: null, maxPixels: null }),
      [],
    );
  });
});

describe('smartResize', () => {
  // From smart_resize of transformers 5.18 with the micro checkpoint's bounds; [42, 70] rounds 1.5 and 2.5.
  const cases: readonly (readonly [Pair, Pair])[] = [
    [
      [100, 50],
      [112, 56],
    ],
    [
      [3056, 2544],
      [224, 196],
    ],
    [
      [42, 70],
      [56, 56],
    ],
    [
      [14, 300],
      [28, 280],
    ],
    [
      [40, 40],
      [56, 56],
    ],
    [
      [1, 150],
      [28, 700],
    ],
    [
      [4000, 1000],
      [448, 112],
    ],
    [
      [98, 98],
      [112, 112],
    ],
    [
      [10, 100],
      [28, 196],
    ],
    [
      [724, 362],
      [308, 140],
    ],
  ];
  for (const [[width, height], expected] of cases) {
    it(`agrees with transformers on ${width}x${height}`, () => {
      const size = smartResize({ width, height }, 28, 3136, 50176);
      assert.deepEqual([size.width, size.height], expected);
    });
  }

  it('keeps sides multiples of the factor and the area within bounds', () => {
    const side = fc.integer({ min: 1, max: 4000 });
    fc.assert(
      fc.property(side, side, (width, height) => {
        fc.pre(Math.max(width, height) <= 50 * Math.min(width, height));
        const size = smartResize({ width, height }, 28, 3136, 50176);
        assert.equal(size.width % 28, 0);
        assert.equal(size.height % 28, 0);
        assert.ok(size.width * size.height >= 3136 && size.width * size.height <= 50176);
      }),
    );
  });

  it('refuses an image more than 200 times as long as wide', () => {
    assert.throws(() => smartResize({ width: 2010, height: 10 }, 28, 3136, 50176), {
      code: 'DATA_INVALID',
      message: /2010x10: aspect ratio 201\.0 is above 200/,
    });
  });
});
