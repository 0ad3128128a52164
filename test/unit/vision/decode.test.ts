import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { decodeImage, imageHeader } from '../../../src/vision/decode.ts';
import { toPlain } from '../../../src/vision/modes.ts';
import { goldenPath, goldenPicture } from '../../support/golden.ts';
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
    assert.deepEqual(await imageHeader(golden), { width: 150, height: 99, sampleBits: 8 });
  });

  it('keeps alpha, which is dropped without compositing once the image is resized', async () => {
    const image = await decodeImage(await translucent().png().toBuffer());
    assert.deepEqual([...image.data], [200, 100, 50, 255, 10, 20, 30, 0]);
    assert.deepEqual([...toPlain(image).data], [200, 100, 50, 10, 20, 30]);
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

  it('names a file that is missing, empty or broken, and its format', async () => {
    using directory = new TemporaryDirectory();
    const png = readFileSync(golden);
    const [jpeg, webp, gif, tiff] = await Promise.all([
      sharp(png).jpeg().toBuffer(),
      sharp(png).webp().toBuffer(),
      sharp(png).gif().toBuffer(),
      sharp(png).tiff().toBuffer(),
    ]);
    const missing = join(directory.path, 'missing.png');
    await assert.rejects(decodeImage(missing), {
      code: 'DATA_INVALID',
      message: `image ${missing}: no such file`,
    });
    for (const [format, whole] of [
      ['PNG', png],
      ['JPEG', jpeg],
      ['WebP', webp],
      ['GIF', gif],
      ['TIFF', tiff],
      ['TIFF', goldenPicture('rgb-tiles.tif')],
      ['BMP', goldenPicture('rgb.bmp')],
    ] as const) {
      const path = directory.write(`half.${format}`, whole.subarray(0, whole.length / 2));
      await assert.rejects(decodeImage(path), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DATA_INVALID');
        const start = `image ${path}: this ${format} file is truncated, broken or of a kind`;
        assert.ok(error.message.startsWith(start), error.message);
        assert.ok(!error.message.includes('\n'));
        return true;
      });
    }
    const empty = directory.write('empty.png', '');
    await assert.rejects(decodeImage(empty), { message: `image ${empty}: the file is empty` });
    await assert.rejects(decodeImage(directory.path), {
      code: 'DATA_INVALID',
      message: /a directory, not a file/,
    });
  });

  it('says what a file is that is no picture, and what would be read', async () => {
    const others: Readonly<Record<string, string | Uint8Array>> = {
      'an SVG file': '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      'a Git LFS pointer, whose picture `git lfs pull` brings':
        'version https://git-lfs.github.com/spec/v1\n',
      'an HTML page': '<!DOCTYPE html><p>Not found',
      'an HEIF or MP4 file': '\0\0\0\x18ftypheic',
      'a file of no format that is known': 'this is no image',
    };
    for (const [kind, content] of Object.entries(others)) {
      await assert.rejects(decodeImage(Buffer.from(content)), {
        code: 'DATA_INVALID',
        message: `image of ${content.length} bytes: it is ${kind}; pictures are read from PNG, JPEG, WebP, GIF, TIFF, BMP, AVIF, DICOM`,
      });
    }
  });

  it('refuses more pixels than Pillow before it takes memory for them', async () => {
    const png = Buffer.from(await translucent().png().toBuffer());
    png.writeUInt32BE(2 ** 17, 16);
    png.writeUInt32BE(2 ** 17, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    const bmp = Buffer.from(goldenPicture('p-runs.bmp'));
    bmp.writeInt32LE(2 ** 17, 18);
    bmp.writeInt32LE(2 ** 17, 22);
    const gif = Buffer.from(goldenPicture('p.gif'));
    gif.writeUInt16LE(2 ** 15, 6);
    gif.writeUInt16LE(2 ** 15, 8);
    for (const file of [png, bmp, gif]) {
      const refused = { code: 'DATA_INVALID', message: /pixels are more than the 178956970 that/ };
      await assert.rejects(decodeImage(file), refused);
      await assert.rejects(imageHeader(file), refused);
    }
  });

  it('refuses more pixels than its bytes can hold before it decodes any', async () => {
    const [width, height] = [12000, 9000];
    const png = Buffer.from(await translucent().png().toBuffer());
    png.writeUInt32BE(width, 16);
    png.writeUInt32BE(height, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    const bmp = Buffer.from(goldenPicture('p-runs.bmp'));
    bmp.writeInt32LE(width, 18);
    bmp.writeInt32LE(height, 22);
    const gif = Buffer.from(goldenPicture('p.gif'));
    gif.writeUInt16LE(width, 6);
    gif.writeUInt16LE(height, 8);
    const tiff = Buffer.from(await translucent().tiff().toBuffer());
    const entries = tiff.readUInt32LE(4) + 2;
    for (const [entry, side] of [width, height].entries()) {
      assert.equal(tiff.readUInt16LE(entries + 12 * entry), 256 + entry, 'the tag of a side');
      tiff.writeUInt16LE(side, entries + 12 * entry + 8);
    }
    for (const file of [png, bmp, gif, tiff]) {
      const message = `image of ${file.length} bytes: 12000 x 9000 pixels are more than its ${file.length} bytes can hold`;
      await assert.rejects(decodeImage(file), { code: 'DATA_INVALID', message });
    }
  });

  it('reads a page that is blank', async () => {
    const page = { width: 2480, height: 3508, channels: 3, background: 'white' } as const;
    const blank = sharp({ create: page }).toColourspace('b-w');
    for (const file of await Promise.all([
      blank.png({ palette: true, colours: 2 }).toBuffer(),
      blank.tiff({ compression: 'ccittfax4', bitdepth: 1 }).toBuffer(),
    ])) {
      assert.equal((await imageHeader(file)).width, page.width, `of ${file.length} bytes`);
    }
  });

  it('takes the upper 8 of the bits that 16-bit samples have, white above, and all of alpha', async () => {
    const samples = Uint16Array.of(0x0abc, 0x0010, 0xffff, 0x8000);
    const raw = { width: 2, height: 1, channels: 2 } as const;
    const png = await sharp(samples, { raw }).toColourspace('grey16').png().toBuffer();
    assert.equal((await imageHeader(png)).sampleBits, 16);
    for (const [bitDepth, levels] of [
      [16, [0x0a, 0, 0xff, 0x80]],
      [12, [0xab, 0, 0xff, 0x80]],
      [8, [0xff, 0, 0xff, 0x80]],
    ] as const) {
      const image = await decodeImage(png, { bitDepth });
      assert.deepEqual([image.mode, [...image.data], image.wide], ['LA', levels, 16]);
    }
    const dark = Uint16Array.of(0x0abc, 0x0001);
    const grey = sharp(dark, { raw: { ...raw, channels: 1 } }).toColourspace('grey16');
    assert.equal((await decodeImage(await grey.png().toBuffer())).wide, 12);
  });
});
