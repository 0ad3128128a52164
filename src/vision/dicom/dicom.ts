/**
 * Pictures of DICOM files: radiographs, slices, secondary captures.
 *
 * A file says itself how many bits it uses and how they are shown, so `data.bit_depth` has no say in it; `data.window`
 * does. Of several frames the first is taken.
 */
import type { DicomWindow, OpenedImage, PlainImage } from '../decoded-image.ts';
import { rgbOf } from './colours.ts';
import { dicomPicture, unread, type DicomPicture } from './data-set.ts';
import { colourLevels, greyLevels, paletteLevels } from './levels.ts';
import { samplesOf } from './samples.ts';

/**
 * Opens a DICOM file.
 *
 * @throws DATA_INVALID if it holds no picture, or one of a kind that is not read; `decode` throws that too, or an error
 *   of a decoder if the pixels are broken
 */
export function openDicom(file: Uint8Array): OpenedImage {
  const picture = dicomPicture(file);
  checkKind(picture);
  const { width, height } = picture;
  return {
    width,
    height,
    sampleBits: 8,
    decode: async ({ window }) => ({ ...(await decode(picture, window)), wide: null }),
  };
}

/** Pixels of grey or colour, by the photometric interpretation. */
const KINDS: Readonly<Record<string, 1 | 3>> = {
  MONOCHROME1: 1,
  MONOCHROME2: 1,
  'PALETTE COLOR': 1,
  RGB: 3,
  YBR_FULL: 3,
  YBR_FULL_422: 3,
  YBR_ICT: 3,
  YBR_RCT: 3,
};

function checkKind(picture: DicomPicture): void {
  const { width, height, channels, colours, bitsAllocated, bitsStored } = picture;
  const kind = Object.hasOwn(KINDS, colours) ? KINDS[colours] : undefined;
  if (kind === undefined || kind !== channels) {
    const names = Object.keys(KINDS).join(', ');
    throw unread(`${channels} samples a pixel of colours other than ${names}`);
  }
  if (width === 0 || height === 0) throw unread(`sides of ${width} and ${height}`);
  if (![1, 8, 16].includes(bitsAllocated) || bitsStored < 1 || bitsStored > bitsAllocated) {
    throw unread(`samples of ${bitsStored} bits in ${bitsAllocated}; up to 16 are read`);
  }
}

async function decode(picture: DicomPicture, window: DicomWindow | null): Promise<PlainImage> {
  const { width, height, colours, palette, isSigned } = picture;
  const samples = await samplesOf(picture);
  const { bits } = samples;
  const size = { width, height, isIndexed: false };
  const count = width * height;
  if (palette !== null) {
    const tables = palette.map((table) => paletteLevels(table, bits, isSigned));
    return { ...size, mode: 'RGB', data: mapped(samples.data, tables, 3 * count, bits, 3) };
  }
  if (picture.channels === 1) {
    const table = greyLevels(picture, bits, window);
    return { ...size, mode: 'L', data: mapped(samples.data, [table], count, bits, 1) };
  }
  const own = samples.colours ?? colours;
  if (own === 'YBR_FULL' || own === 'YBR_FULL_422') {
    if (bits !== 8) throw unread(`YBR colours of ${bits} bits, which are not read`);
    return { ...size, mode: 'RGB', data: rgbOf(samples.data.subarray(0, 3 * count)) };
  }
  const table = colourLevels(bits);
  return { ...size, mode: 'RGB', data: mapped(samples.data, [table], 3 * count, bits, 1) };
}

/**
 * Level of each sample in each table.
 *
 * @param length number of levels
 * @param repeats levels that are made of each sample
 */
function mapped(
  samples: Uint8Array | Uint16Array,
  tables: readonly Uint8Array[],
  length: number,
  bits: number,
  repeats: number,
): Uint8Array {
  const mask = 2 ** bits - 1;
  const levels = new Uint8Array(length);
  tables.forEach((table, offset) => {
    for (let i = offset, from = 0; i < length; i += repeats) {
      levels[i] = table[samples[from++]! & mask]!;
    }
  });
  return levels;
}
