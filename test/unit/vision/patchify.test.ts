import assert from 'node:assert/strict';
import fc from 'fast-check';
import { patchValues } from '../../../src/tensor/patch-levels.ts';
import { channelsOf, type PlainImage } from '../../../src/vision/decoded-image.ts';
import { Patchifier } from '../../../src/vision/patchify.ts';

const layouts = fc.record({
  patchSize: fc.integer({ min: 1, max: 20 }),
  temporalPatchSize: fc.integer({ min: 1, max: 2 }),
  mergeSize: fc.integer({ min: 1, max: 3 }),
});

/** The level of a channel of a pixel. */
function levelOf(frame: PlainImage, x: number, y: number, channel: number): number {
  const channels = channelsOf(frame);
  return frame.data[(y * frame.width + x) * channels + (channels === 1 ? 0 : channel)]!;
}

describe('patchify', () => {
  it('puts every pixel where transformers has it, for any layout, grey and coloured, still and moving', () => {
    const kinds = fc.array(fc.constantFrom(1, 3), { minLength: 4, maxLength: 4 });
    const blocks = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }));
    fc.assert(
      fc.property(
        layouts,
        blocks,
        kinds,
        fc.boolean(),
        fc.integer(),
        (some, size, kinds_, isStill, seed) => {
          const { patchSize, temporalPatchSize, mergeSize } = some;
          const [gridWidth, gridHeight] = size.map((count) => count * mergeSize) as [
            number,
            number,
          ];
          const [width, height] = [gridWidth * patchSize, gridHeight * patchSize];
          const pictures = kinds_.slice(0, 2 * temporalPatchSize).map((channels, i): PlainImage => {
            const noise = (_: unknown, at: number): number =>
              Math.imul(at + 1, seed + i * 77) >>> 24;
            const data = Uint8Array.from({ length: width * height * channels }, noise);
            return { width, height, mode: channels === 1 ? 'L' : 'RGB', data, isIndexed: false };
          });
          const frames = pictures.map((picture, i) =>
            isStill ? pictures[i - (i % temporalPatchSize)]! : picture,
          );
          const layout = { ...some, mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] } as const;
          const { pixelValues, grid } = new Patchifier(layout).patchify(frames);
          assert.deepEqual(grid, [2, gridHeight, gridWidth]);
          const { data } = patchValues([pixelValues])!;
          let at = 0;
          // As `Qwen2VLImageProcessor` transposes: time, block row, block column, row and column in the block; then
          // channel, frame, y, x.
          for (let first = 0; first < frames.length; first += temporalPatchSize)
            for (let top = 0; top < height; top += mergeSize * patchSize)
              for (let left = 0; left < width; left += mergeSize * patchSize)
                for (let cell = 0; cell < mergeSize ** 2; cell++)
                  for (let channel = 0; channel < 3; channel++)
                    for (let time = 0; time < temporalPatchSize; time++)
                      for (let place = 0; place < patchSize ** 2; place++) {
                        const y =
                          top +
                          Math.floor(cell / mergeSize) * patchSize +
                          Math.floor(place / patchSize);
                        const x = left + (cell % mergeSize) * patchSize + (place % patchSize);
                        const level = levelOf(frames[first + time]!, x, y, channel);
                        assert.ok(Math.abs(data[at++]! - level) < 1e-4, `${at}`);
                      }
          assert.equal(at, data.length);
        },
      ),
      { numRuns: 40 },
    );
  });
});
