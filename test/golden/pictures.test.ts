import assert from 'node:assert/strict';
import { decodeImage, imageHeader } from '../../src/vision/decode.ts';
import type { PlainImage } from '../../src/vision/decoded-image.ts';
import { toPlain } from '../../src/vision/modes.ts';
import { Resampler } from '../../src/vision/resample.ts';
import { boundImage } from '../../src/vision/resize.ts';
import { goldenJson } from '../support/golden.ts';

interface Levels {
  readonly size: readonly [number, number];
  readonly rgb: string;
}
interface Picture {
  readonly file: string;
  readonly mode: string;
  readonly levels: Readonly<Record<'same' | 'enlarged' | 'reduced', Levels>> & {
    readonly processed?: Levels;
  };
}
interface Pictures {
  readonly bounds: { readonly minPixels: number; readonly maxPixels: number };
  readonly cases: Readonly<Record<string, Picture>>;
}

/** The most that any level is off. */
function worst({ width, height, mode, data }: PlainImage, expected: Levels): number {
  assert.deepEqual([width, height], expected.size);
  const rgb = Buffer.from(expected.rgb, 'base64');
  return rgb.reduce((most, level, i) => {
    const got = data[mode === 'L' ? Math.floor(i / 3) : i]!;
    return Math.max(most, Math.abs(level - got));
  }, 0);
}

describe('pictures have the levels that Pillow gives them, in and out of bounds', () => {
  const { bounds, cases } = goldenJson('pictures/cases.json') as Pictures;
  const { minPixels, maxPixels } = bounds;
  const resampler = new Resampler();

  for (const [name, { file, mode, levels }] of Object.entries(cases)) {
    it(`${name}, of mode ${mode}`, async () => {
      const bytes = Buffer.from(file, 'base64');
      const image = await decodeImage(bytes);
      const enlarged = boundImage(image, { minPixels, maxPixels: null }, resampler);
      const off = { enlarged: worst(enlarged, levels.enlarged), processed: 0 };
      if (levels.processed !== undefined) {
        const [width, height] = levels.processed.size;
        off.processed = worst(resampler.resize(enlarged, width, height), levels.processed);
      }
      const reduced = boundImage(image, { minPixels: null, maxPixels }, resampler);
      assert.deepEqual(
        { ...off, reduced: worst(reduced, levels.reduced), same: worst(toPlain(image), levels.same) },
        { enlarged: 0, processed: 0, reduced: 0, same: 0 },
      );
      const { width, height } = await imageHeader(bytes);
      assert.deepEqual([width, height], levels.same.size);
    });
  }
});
