/** Pictures in the formats that sharp decodes, in the modes in which Pillow opens them. */
import type { Metadata, Sharp } from 'sharp';
import { CxmindError } from '../errors.ts';
import { SAMPLES, type OpenedImage } from './decoded-image.ts';
import type { PictureFormat } from './formats.ts';
import { firstSamples } from './modes.ts';
import { levelsOf } from './sample-depth.ts';
import { TIFF_TAGS, tiffTag } from './tiff.ts';

/** Modes of libvips's colour spaces, without and with alpha. The alpha of CMYK is left out. */
const MODES = {
  'b-w': ['L', 'RGBA'],
  grey16: ['L', 'LA'],
  srgb: ['RGB', 'RGBA'],
  rgb16: ['RGB', 'RGBA'],
  cmyk: ['CMYK', 'CMYK'],
} as const;

/** Bits and sample type as which libvips's sample types are read. */
const READ_AS = {
  uchar: [8, 'uchar'],
  char: [8, 'char'],
  ushort: [16, 'ushort'],
  short: [32, 'float'],
  uint: [32, 'float'],
  int: [32, 'float'],
  float: [32, 'float'],
} as const;

/**
 * Opens a picture in any format that sharp reads, in the mode in which Pillow opens it.
 *
 * @throws DATA_INVALID for unsupported colours or samples; for a broken file the error of sharp
 */
export async function openBySharp(bytes: Uint8Array, format: PictureFormat): Promise<OpenedImage> {
  const metadata = await (await load(bytes, format)).metadata();
  const { space, depth, orientation = 1, width, height } = metadata;
  if (!isIn(MODES, space)) throw unread(`colours of the space ${space}`);
  if (!isIn(READ_AS, depth)) throw unread(`samples of the type ${depth}`);
  const { hasAlpha, isIndexed } = traitsOf(bytes, format, metadata);
  const mode = MODES[space][hasAlpha ? 1 : 0];
  const channels = SAMPLES[mode];
  const [sampleBits, raw] = READ_AS[depth];
  // Pillow turns a TIFF by its orientation tag, but no other format by its EXIF.
  const isTurned = format === 'TIFF' && orientation > 1;
  const size = isTurned && orientation > 4 ? { width: height, height: width } : { width, height };

  const steps: readonly ((image: Sharp) => Sharp)[] = [
    (image) => (isTurned ? image.autoOrient() : image),
    (image) => (hasAlpha ? image : image.removeAlpha()),
    // Without this libvips converts CMYK to RGB by a built-in profile.
    (image) => (mode === 'CMYK' ? image.pipelineColourspace(space) : image),
    // 8-bit grey would lose its alpha.
    (image) => image.toColourspace(hasAlpha && space === 'b-w' ? 'srgb' : space),
  ];
  return {
    ...size,
    sampleBits,
    async decode({ bitDepth }) {
      const { data: samples, info } = await steps
        .reduce((image, step) => step(image), await load(bytes, format))
        .raw({ depth: raw })
        .toBuffer({ resolveWithObject: true });
      const { channels: all } = info;
      const colours = hasAlpha ? channels - 1 : channels;
      const { data, wide } = levelsOf(samples, sampleBits, { channels: all, colours, bitDepth });
      return { ...size, mode, data: firstSamples(data, all, channels), isIndexed, wide };
    },
  };
}

async function load(bytes: Uint8Array, format: PictureFormat): Promise<Sharp> {
  // Imported late, as most threads that may read a picture never do.
  const { default: sharp } = await import('sharp');
  return sharp(bytes, {
    // A missing tile of a TIFF is only a warning, and black.
    failOn: format === 'TIFF' ? 'warning' : 'error',
    ignoreIcc: true,
    // `refuseHuge` has applied the limit of all formats.
    limitInputPixels: false,
  });
}

function isIn<T extends object>(table: T, key: PropertyKey): key is keyof T {
  return Object.hasOwn(table, key);
}

/** Traits of a file that decide its mode in Pillow. */
interface Traits {
  readonly hasAlpha: boolean;
  readonly isIndexed: boolean;
}

function traitsOf(
  bytes: Uint8Array,
  format: PictureFormat,
  { hasAlpha, bitsPerSample }: Metadata,
): Traits {
  const isBits = bitsPerSample === 1;
  if (format === 'PNG') {
    // A single transparent colour is an alpha channel to libvips, but not to Pillow.
    const colourType = bytes[25]!;
    return { hasAlpha: (colourType & 4) !== 0, isIndexed: colourType === 3 || isBits };
  }
  if (format === 'TIFF') {
    const isPalette = tiffTag(bytes, TIFF_TAGS.photometricInterpretation) === 3;
    const isUnspecified = tiffTag(bytes, TIFF_TAGS.extraSamples) === 0;
    return {
      hasAlpha: hasAlpha && !isPalette && !isUnspecified,
      isIndexed: isPalette || isBits,
    };
  }
  return { hasAlpha, isIndexed: false };
}

function unread(what: string): CxmindError {
  return new CxmindError('DATA_INVALID', `it has ${what}, which are not read`);
}
