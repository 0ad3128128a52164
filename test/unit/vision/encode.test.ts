import assert from 'node:assert/strict';
import sharp from 'sharp';
import { thumbnail } from '../../../src/vision/encode.ts';
import { goldenPath, goldenPicture } from '../../support/golden.ts';

describe('thumbnail', () => {
  it('is a small JPEG of a picture in any format that is read, and null of anything else', async () => {
    const bmp = goldenPicture('p-8-bits.bmp');
    const png = goldenPath('micro-vl-reference/images/case_002_1.png');
    for (const [source, width, height] of [
      [bmp, 11, 9],
      [png, 100, 66],
    ] as const) {
      const jpeg = await sharp((await thumbnail(source, 100))!).metadata();
      assert.deepEqual([jpeg.format, jpeg.width, jpeg.height], ['jpeg', width, height]);
    }
    assert.equal(await thumbnail(Buffer.from('none'), 100), null);
  });
});
