import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { decodeImage, imageSize } from '../../../src/vision/decode.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const golden = goldenPath('micro-vl-reference/images/case_002_1.png');

/** Two pixels: (200, 100, 50) opaque, (10, 20, 30) wholly transparent. */
function translucent(): Sharp {
  const data = Uint8Array.of(200, 100, 50, 255, 10, 20, 30, 0);
  return sharp(data, { raw: { width: 2, height: 1, channels: 4 } });
}

describe('decodeImage', () => {
  it('reads a path and the same bytes alike', async () => {
    const fromPath = await decodeImage(golden);
    assert.deepEqual([fromPath.width, fromPath.height], [150, 99]);
    assert.equal(fromPath.data.length, 150 * 99 * 3);
    assert.deepEqual(await decodeImage(readFileSync(golden)), fromPath);
    assert.deepEqual(await imageSize(golden), { width: 150, height: 99 });
  });

  it('drops alpha without compositing', async () => {
    const image = await decodeImage(await translucent().png().toBuffer());
    assert.deepEqual([...image.data], [200, 100, 50, 10, 20, 30]);
  });

  it('keeps grey as the one channel that the file has', async () => {
    const data = Uint8Array.of(7, 250);
    const grey = sharp(data, { raw: { width: 2, height: 1, channels: 1 } }).toColourspace('b-w');
    assert.deepEqual([...(await decodeImage(await grey.png().toBuffer())).data], [7, 250]);
    assert.equal((await decodeImage(await grey.jpeg().toBuffer())).data.length, 2);
    const palette = await decodeImage(await grey.png({ palette: true }).toBuffer());
    assert.deepEqual([...palette.data], [7, 7, 7, 250, 250, 250]);
  });

  it('does not follow an EXIF rotation', async () => {
    const turned = await translucent()
      .removeAlpha()
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const image = await decodeImage(turned);
    assert.deepEqual([image.width, image.height], [2, 1]);
  });

  it('knows a palette image', async () => {
    const image = await decodeImage(
      await translucent().removeAlpha().png({ palette: true }).toBuffer(),
    );
    assert.equal(image.isIndexed, true);
    assert.equal((await decodeImage(golden)).isIndexed, false);
  });

  it('names a file that is missing, empty, truncated or not an image', async () => {
    using directory = new TemporaryDirectory();
    const png = readFileSync(golden);
    const jpeg = await sharp(png).jpeg().toBuffer();
    const missing = join(directory.path, 'missing.png');
    await assert.rejects(decodeImage(missing), {
      code: 'DATA_INVALID',
      message: `image ${missing}: no such file`,
    });
    const broken: Record<string, Uint8Array> = {
      'half.png': png.subarray(0, png.length / 2),
      'tail.jpg': jpeg.subarray(0, jpeg.length - 200),
      'words.png': Buffer.from('this is no image'),
    };
    for (const [name, content] of Object.entries(broken)) {
      const path = directory.write(name, content);
      await assert.rejects(decodeImage(path), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DATA_INVALID');
        assert.ok(error.message.startsWith(`image ${path}: it is truncated or not an image`));
        return true;
      });
    }
    const empty = directory.write('empty.png', '');
    await assert.rejects(decodeImage(empty), { message: `image ${empty}: the file is empty` });
    await assert.rejects(decodeImage(directory.path), { code: 'DATA_INVALID', message: /EISDIR/ });
  });
});
