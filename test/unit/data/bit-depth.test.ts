import assert from 'node:assert/strict';
import sharp from 'sharp';
import { BitDepthChoice, type NamedPicture } from '../../../src/data/bit-depth.ts';
import { decodeImage } from '../../../src/vision/decode.ts';
import type { BitDepth } from '../../../src/vision/sample-depth.ts';

/** A grey picture whose largest sample is that. */
async function picture(largest: number): Promise<NamedPicture> {
  const samples = Uint16Array.of(0, 3, largest);
  const raw = { width: 3, height: 1, channels: 1 } as const;
  const png = await sharp(samples, { raw }).toColourspace('grey16').png().toBuffer();
  return { name: `of ${largest}`, source: png };
}

async function byteWide(): Promise<NamedPicture> {
  const raw = { width: 1, height: 1, channels: 3 } as const;
  return {
    name: 'byte wide',
    source: await sharp(Uint8Array.of(1, 2, 3), { raw })
      .png()
      .toBuffer(),
  };
}

/** A choice, what it warned of, and the largest level that it gives pictures, one after the other. */
function choosing(given: BitDepth | 'auto'): {
  readonly warnings: string[];
  readonly settle: (...pictures: NamedPicture[]) => Promise<void>;
  readonly read: (...pictures: NamedPicture[]) => Promise<number[]>;
} {
  const warnings: string[] = [];
  const choice = new BitDepthChoice(given, (message) => warnings.push(message));
  const read = async (pictures: readonly NamedPicture[]): Promise<number[]> => {
    const levels: number[] = [];
    for (const { name, source } of pictures) {
      const image = await choice.read(name, (bitDepth) => decodeImage(source, { bitDepth }));
      levels.push(image.data.at(-1)!);
    }
    return levels;
  };
  return {
    warnings,
    settle: (...pictures) =>
      choice.settle(pictures.length, async (i) => Promise.resolve(pictures[i]!)),
    read: (...pictures) => read(pictures),
  };
}

describe('BitDepthChoice', () => {
  it('is the most that the pictures of a data set use, said in one warning that names one', async () => {
    const [dim, full] = [await picture(900), await picture(4095)];
    const { settle, read, warnings } = choosing('auto');
    const broken = { name: 'broken', source: Buffer.from('none') };
    await settle(await byteWide(), broken, dim, full);
    assert.deepEqual(await read(dim, full, await byteWide()), [900 >> 4, 255, 3]);
    assert.deepEqual(warnings, [
      'of 900: its 16-bit samples take no more than 12 bits; all such pictures are read as 12, as if ' +
        'data.bit_depth=12 were set',
    ]);
  });

  it('leaves dark pictures dark, without a word, where others use all bits', async () => {
    const [dark, full] = [await picture(4095), await picture(60_000)];
    const { settle, read, warnings } = choosing('auto');
    await settle(dark, full);
    assert.deepEqual(await read(dark, full), [15, 60_000 >> 8]);
    assert.deepEqual(warnings, []);
  });

  it('looks at pictures from the first on, as far apart as a number of looks makes them', async () => {
    const places: number[] = [];
    const source = (await byteWide()).source;
    await new BitDepthChoice('auto', () => undefined).settle(100, (place) => {
      places.push(place);
      return Promise.resolve({ name: '', source });
    });
    assert.deepEqual(places.slice(0, 4), [0, 3, 6, 9]);
    assert.deepEqual([places.length, places.at(-1)], [32, 96]);
  });

  it('warns once of pictures that do not fit: too many bits, or nearly black', async () => {
    const [dark, full] = [await picture(4095), await picture(60_000)];
    const some = choosing('auto');
    await some.settle(dark);
    assert.deepEqual(await some.read(full, full), [255, 255]);
    assert.deepEqual(some.warnings.slice(1), [
      'of 60000: its 16-bit samples take 16 bits, all such pictures are read as 12: set data.bit_depth=16',
    ]);
    const none = choosing('auto');
    await none.settle(await byteWide());
    assert.deepEqual(await none.read(dark, dark), [15, 15]);
    assert.deepEqual(none.warnings, [
      'of 4095: its 16-bit samples take 12 bits, read as 16 it is nearly black: set data.bit_depth=12',
    ]);
  });

  it('is what the first picture that is read uses, where no data set was looked at', async () => {
    const [dark, full] = [await picture(4095), await picture(60_000)];
    const { read, warnings } = choosing('auto');
    assert.deepEqual(await read(await byteWide(), dark, full), [3, 255, 255]);
    assert.equal(warnings.length, 2);
  });

  it('is what is given, without looking', async () => {
    const [dark, full] = [await picture(4095), await picture(60_000)];
    const given = choosing(16);
    await given.settle(dark);
    assert.deepEqual(await given.read(dark, full), [15, 60_000 >> 8]);
    assert.deepEqual(given.warnings, []);
    assert.deepEqual(await choosing(14).read(dark), [63]);
  });

  it('warns of samples of 32 bits, which are clipped as by Pillow 12.3', async () => {
    // 0.25, 200.9, 4000 and -3
    const tiff =
      'SUkqAAgAAAAKAAABBAABAAAABAAAAAEBBAABAAAAAQAAAAIBAwABAAAAIAAAAAMBAwABAAAAAQAAAAYBAwABAAAAAQAAABEBBAAB' +
      'AAAAhgAAABYBBAABAAAAAQAAABcBBAABAAAAEAAAABwBAwABAAAAAQAAAFMBAwABAAAAAwAAAAAAAAAAAIA+ZuZIQwAAekUAAEDA';
    const source = Buffer.from(tiff, 'base64');
    assert.deepEqual([...(await decodeImage(source)).data], [0, 200, 255, 0]);
    const { settle, read, warnings } = choosing('auto');
    await settle({ name: 'x.tif', source });
    await read({ name: 'x.tif', source }, { name: 'y.tif', source });
    assert.deepEqual(warnings, [
      'x.tif: its 32-bit samples are clipped to 0 … 255, as Pillow clips them',
    ]);
  });
});
