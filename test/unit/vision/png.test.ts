import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { PngDecoder } from '../../../src/vision/png.ts';

const colourTypes = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;
type Samples = keyof typeof colourTypes;

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

/** A PNG of rows as they are given, each after its filter. */
function pngOf(
  [width, height, samples]: readonly [number, number, Samples],
  rows: Uint8Array,
  { bits = 8, interlace = 0, extra = [] as readonly Buffer[], parts = 1 } = {},
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bits, colourTypes[samples], 0, 0, interlace], 8);
  const stream = deflateSync(rows);
  const cut = Math.ceil(stream.length / parts);
  const data = Array.from({ length: parts }, (_, i) => stream.subarray(i * cut, (i + 1) * cut));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    ...extra,
    ...data.map((part) => chunk('IDAT', part)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** Each pixel's samples; sharp has grey with alpha only as three like colours and alpha. */
async function decodedBySharp(png: Buffer, samples: Samples): Promise<Uint8Array> {
  const levels = await sharp(png)
    .toColourspace(samples === 1 ? 'b-w' : 'srgb')
    .raw()
    .toBuffer();
  return samples === 2 ? levels.filter((_, i) => i % 4 === 0 || i % 4 === 3) : levels;
}

const plain = new PngDecoder();

describe('PngDecoder', () => {
  it('equals libpng for every filter, with and without alpha, in one chunk or several', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Samples>(1, 2, 3, 4),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 7 }),
        fc.integer({ min: 1, max: 3 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        async (samples, width, filters, parts, levels) => {
          const rows = filters.flatMap((filter) => [filter, ...levels.take(width * samples)]);
          const size = [width, filters.length, samples] as const;
          const png = pngOf(size, Uint8Array.from(rows), { parts });
          const image = plain.decode(png);
          assert.deepEqual([image?.width, image?.height], [width, filters.length]);
          assert.deepEqual([...image!.data], [...(await decodedBySharp(png, samples))]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('equals libpng for more rows than are unfiltered at once', async () => {
    const [width, height] = [512, 600];
    const data = Buffer.from(Array.from({ length: width * height * 3 }, (_, i) => (i * i) >> 7));
    const raw = { raw: { width, height, channels: 3 } } as const;
    const png = await sharp(data, raw).png({ adaptiveFiltering: true }).toBuffer();
    assert.ok(plain.decode(png)?.data.every((level, i) => level === data[i]));
  });

  it('leaves what is not plain to others', async () => {
    const raw = { raw: { width: 4, height: 4, channels: 3 } } as const;
    const picture = sharp(Buffer.alloc(48, 9), raw);
    assert.notEqual(plain.decode(await picture.png().toBuffer()), null);
    assert.equal(plain.decode(await picture.png({ palette: true }).toBuffer()), null);
    assert.equal(plain.decode(await picture.png({ progressive: true }).toBuffer()), null);
    assert.equal(plain.decode(await picture.toColourspace('rgb16').png().toBuffer()), null);
    assert.equal(plain.decode(await picture.jpeg().toBuffer()), null);
    assert.equal(plain.decode(Buffer.from('text')), null);
  });

  it('leaves what is broken to others: checksums, lengths, filters, chunks of no known kind', () => {
    const size = [2, 1, 1] as const;
    const good = pngOf(size, Uint8Array.of(0, 5, 6));
    assert.deepEqual([...plain.decode(good)!.data], [5, 6]);
    for (let i = 8; i < good.length; i++) {
      const flipped = Buffer.from(good);
      flipped[i]! ^= 0x10;
      const data = plain.decode(flipped)?.data;
      // A letter of the end's name makes it one that may be passed over, and then the file has no end.
      assert.equal(data, undefined, `byte ${i}`);
    }
    for (let length = 0; length < good.length; length++) {
      assert.equal(plain.decode(good.subarray(0, length)), null);
    }
    assert.equal(plain.decode(pngOf(size, Uint8Array.of(5, 5, 6))), null);
    assert.equal(plain.decode(pngOf(size, Uint8Array.of(0, 5))), null);
    assert.equal(plain.decode(pngOf(size, Uint8Array.of(0, 5, 6, 7))), null);
    assert.equal(plain.decode(pngOf([0, 1, 1], Uint8Array.of(0))), null);
    const odd = (type: string): Buffer =>
      pngOf(size, Uint8Array.of(0, 5, 6), { extra: [chunk(type, Buffer.of(1))] });
    assert.equal(plain.decode(odd('ABCD')), null);
    assert.deepEqual([...plain.decode(odd('tEXt'))!.data], [5, 6]);
  });
});
