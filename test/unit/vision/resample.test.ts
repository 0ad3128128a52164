import assert from 'node:assert/strict';
import type { ImageMode, PlainImage } from '../../../src/vision/decoded-image.ts';
import { Resampler } from '../../../src/vision/resample.ts';

const resample: Resampler['copy'] = (image, width, height) =>
  new Resampler().copy(image, width, height);

function patterned(width: number, height: number): PlainImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return (x * 37 + y * 91 + c * 53 + x * y * 7) % 256;
  });
  return { width, height, mode: 'RGB', data, isIndexed: false };
}

describe('resample', () => {
  it('equals Pillow 12.3 byte for byte, narrower and taller', () => {
    // oxfmt-ignore
    assert.deepEqual([...resample(patterned(5, 4), 3, 6).data], [
      7, 59, 112, 66, 124, 186, 137, 198, 251, 51, 115, 177, 134, 157, 131, 119, 112, 165, 127, 171, 204, 182,
      167, 83, 99, 48, 102, 207, 154, 66, 93, 77, 124, 96, 150, 210, 124, 116, 93, 103, 131, 164, 170, 155, 147,
      27, 87, 158, 136, 204, 188, 236, 130, 61,
    ]);
  });

  it('equals Pillow 12.3 byte for byte, wider and flatter', () => {
    // oxfmt-ignore
    assert.deepEqual([...resample(patterned(5, 4), 7, 2).data], [
      61, 115, 136, 85, 119, 166, 109, 139, 163, 114, 167, 103, 151, 107, 136, 125, 108, 175, 75, 145, 197, 99,
      159, 88, 137, 116, 120, 143, 100, 156, 93, 146, 168, 130, 169, 116, 160, 143, 124, 171, 101, 161,
    ]);
  });

  it('takes the nearest pixel of a palette image, as Pillow does', () => {
    const data = Uint8Array.from({ length: 36 }, (_, i) => Math.floor(i / 3));
    const image: PlainImage = { width: 4, height: 3, mode: 'RGB', data, isIndexed: true };
    const reds = (width: number, height: number): number[] =>
      [...resample(image, width, height).data].filter((_, i) => i % 3 === 0);
    assert.deepEqual(reds(6, 2), [0, 1, 1, 2, 2, 3, 8, 9, 9, 10, 10, 11]);
    assert.deepEqual(reds(3, 5), [0, 2, 3, 0, 2, 3, 4, 6, 7, 8, 10, 11, 8, 10, 11]);
  });

  it('equals Pillow 12.3 byte for byte with alpha and with four inks', () => {
    const samples = (count: number): Uint8Array =>
      Uint8Array.from({ length: 12 * count }, (_, i) => (i * 67 + (i >> 2) * 31) % 256);
    const resized = (mode: ImageMode, count: number): number[] => {
      const image = { width: 4, height: 3, mode, data: samples(count), isIndexed: false };
      return [...new Resampler().resize(image, 3, 2).data];
    };
    // oxfmt-ignore
    assert.deepEqual(resized('LA', 2), [76, 104, 115, 143, 135, 173, 139, 179, 109, 79, 83, 116]);
    // oxfmt-ignore
    assert.deepEqual(resized('RGBA', 4), [60, 103, 125, 193, 66, 77, 157, 157, 51, 136, 127, 120, 189, 185, 77, 66, 126, 134, 69, 129, 120, 86, 128, 191]);
    // oxfmt-ignore
    assert.deepEqual(resized('CMYK', 4), [77, 114, 108, 193, 79, 91, 179, 157, 79, 159, 104, 120, 138, 175, 125, 66, 139, 158, 50, 129, 140, 87, 121, 191]);
  });

  it('resizes what it made itself, larger than its memory was, and rows by strips', () => {
    const resampler = new Resampler();
    const tall = patterned(7, 20_000);
    const once = resampler.copy(resampler.copy(tall, 40, 20_000), 60, 20_100);
    assert.deepEqual(
      resampler.resize(resampler.resize(tall, 40, 20_000), 60, 20_100).data,
      once.data,
    );
    assert.deepEqual(
      [...resampler.copy(patterned(5, 4), 3, 6).data],
      [...resample(patterned(5, 4), 3, 6).data],
    );
    // Each row alone gives what it gives in the whole: columns do not depend on other rows.
    const wide = resampler.copy(tall, 9, 20_000);
    for (const row of [0, 12_481, 12_482, 19_999]) {
      const own = { ...tall, height: 1, data: tall.data.slice(row * 21, row * 21 + 21) };
      assert.deepEqual(wide.data.slice(row * 27, row * 27 + 27), resampler.copy(own, 9, 1).data);
    }
  });

  it('leaves an image of the wanted size alone and refuses one without area, or without end', () => {
    const image = patterned(5, 4);
    assert.equal(resample(image, 5, 4), image);
    assert.throws(() => resample(image, 5, 0), { code: 'DATA_INVALID', message: /5x4.*5x0/ });
    assert.throws(() => resample(image, 1e9, 1e9), {
      code: 'DATA_INVALID',
      message: /1000000000x/,
    });
  });
});
