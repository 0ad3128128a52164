import assert from 'node:assert/strict';
import { constants, deflateRawSync } from 'node:zlib';
import { decodeImage, imageHeader } from '../../../src/vision/decode.ts';
import { goldenJson } from '../../support/golden.ts';

const cases = goldenJson('dicom/cases.json') as Readonly<Record<string, { readonly file: string }>>;
const fileOf = (name: string): Buffer => Buffer.from(cases[name]!.file, 'base64');

/** Offset of an element's value of 16 bits in an explicit little-endian file, by group and element. */
function valueAt(file: Buffer, group: number, element: number): number {
  const tag = Buffer.alloc(4);
  tag.writeUInt16LE(group, 0);
  tag.writeUInt16LE(element, 2);
  return file.indexOf(tag, 132) + 8;
}

describe('decodeImage of a DICOM file', () => {
  it('knows the size from the data set alone, and says that its bits need no choice', async () => {
    const header = await imageHeader(fileOf('JPEG, lossless by predictor 1'));
    assert.deepEqual(header, { width: 18, height: 13, sampleBits: 8 });
  });

  it('shows grey by a window in place of the one or the table of the file', async () => {
    const own = await decodeImage(fileOf('12 bits, no window'), { window: [2000, 1500] });
    const given = await decodeImage(fileOf('a window of width 1'), { window: [2000, 1500] });
    const instead = await decodeImage(fileOf('a VOI LUT before a window'), {
      window: [2000, 1500],
    });
    const { data } = await decodeImage(fileOf('implicit'));
    for (const image of [own, given, instead]) assert.deepEqual(image.data, data);
    const colours = await decodeImage(fileOf('RGB'), { window: [2000, 1500] });
    assert.deepEqual(colours, await decodeImage(fileOf('RGB')));
  });

  it('takes a file that is TIFF and DICOM at once for DICOM', async () => {
    const file = fileOf('implicit');
    const both = Buffer.from(file);
    both.write('II*\0', 0, 'latin1');
    assert.deepEqual(await decodeImage(both), await decodeImage(file));
  });

  it('names a file that is cut short anywhere, and nothing that stands in it', async () => {
    for (const name of [
      'implicit',
      'deflated',
      'RLE, 12 bits',
      'JPEG, 12 bits',
      'JPEG, 8 bits',
      'JPEG, lossless by predictor 1',
      'JPEG-LS, 12 bits',
      'JPEG 2000, 12 bits',
    ]) {
      const file = fileOf(name);
      for (const share of [0.2, 0.5, 0.7, 0.9]) {
        const cut = file.subarray(0, Math.max(140, share * file.length));
        await assert.rejects(
          decodeImage(cut),
          (error: Error & { code?: string; detail?: unknown }) => {
            assert.equal(error.code, 'DATA_INVALID');
            assert.ok(error.message.startsWith(`image of ${cut.length} bytes: `), error.message);
            const all = JSON.stringify([error.message, error.detail]) + String(error.cause);
            assert.ok(!/Nobody|\n.*\n/.test(all), all);
            return true;
          },
        );
      }
    }
  });

  it('refuses a size that its bytes cannot hold, and a frame of another size than the file says', async () => {
    const huge = fileOf('12 bits, no window');
    for (const element of [0x10, 0x11]) huge.writeUInt16LE(65535, valueAt(huge, 0x28, element));
    await assert.rejects(decodeImage(huge), {
      code: 'DATA_INVALID',
      message:
        /^image of \d+ bytes: 65535 x 65535 pixels are more than the 178956970 that are read$/,
    });
    for (const name of [
      'JPEG, 12 bits',
      'JPEG, 8 bits',
      'JPEG, lossless by predictor 1',
      'JPEG-LS, 12 bits',
      'JPEG 2000, 12 bits',
    ]) {
      const file = fileOf(name);
      file.writeUInt16LE(4000, valueAt(file, 0x28, 0x10));
      await assert.rejects(decodeImage(file), {
        code: 'DATA_INVALID',
        message: /a frame of 18 x 13 pixels, .* that is said to be 18 x 4000 of 1$/,
      });
    }
  });

  it('refuses a data set that inflates to more than memory should hold', async () => {
    const file = fileOf('deflated');
    const head = file.subarray(0, file.length - inflatedBytes(file));
    const zeros = Buffer.alloc(2 ** 26);
    // A full flush ends a block at a byte, so blocks can be repeated.
    const block = deflateRawSync(zeros, { finishFlush: constants.Z_FULL_FLUSH });
    const bomb = Buffer.concat([head, ...Array.from({ length: 5 }, () => block)]);
    await assert.rejects(decodeImage(bomb), {
      code: 'DATA_INVALID',
      message: /inflates to more than 268435456 bytes$/,
    });
  });

  it('says what it does not read', async () => {
    const wide = fileOf('12 bits, no window');
    wide.writeUInt16LE(32, valueAt(wide, 0x28, 0x100));
    const narrow = fileOf('a window of width 1');
    const syntax = fileOf('JPEG, 12 bits');
    syntax.write('1.2.840.10008.1.2.4.99', syntax.indexOf('1.2.840.10008.1.2.4.51'));
    const report = fileOf('12 bits, no window');
    report.writeUInt16LE(0x29, valueAt(report, 0x28, 0x10) - 8);
    narrow.write('0 ', narrow.indexOf(Buffer.of(0x28, 0, 0x51, 0x10)) + 8);
    for (const [file, message] of [
      [wide, /it has samples of 12 bits in 32; up to 16 are read$/],
      [narrow, /its window has the width 0; data\.window takes its place$/],
      [syntax, /it has the transfer syntax 1\.2\.840\.10008\.1\.2\.4\.99, which is not read$/],
      [report, /it has no pixel data of integers: it may be a report, a plan or a waveform$/],
    ] as const) {
      await assert.rejects(decodeImage(file), { code: 'DATA_INVALID', message });
    }
  });
});

/** Bytes of a deflated file after its meta information, whose length its first element has. */
function inflatedBytes(file: Buffer): number {
  return file.length - (132 + 12 + file.readUInt32LE(140));
}
