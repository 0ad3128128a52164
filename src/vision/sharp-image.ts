import sharp, { type Metadata, type Sharp } from 'sharp';
import { CxmindError } from '../errors.ts';
import { SAMPLES, type OpenedImage } from './decoded-image.ts';
import type { PictureFormat } from './formats.ts';
import { firstSamples } from './modes.ts';
import { levelsOf } from './sample-depth.ts';
import { TIFF_TAGS, tiffTag } from './tiff.ts';

/** How libvips names colours, and the modes that they are alone and with alpha; that of CMYK is left out. */
const MODES = {
  'b-w': ['L', 'RGBA'],
  grey16: ['L', 'LA'],
  srgb: ['RGB', 'RGBA'],
  rgb16: ['RGB', 'RGBA'],
  cmyk: ['CMYK', 'CMYK'],
} as const;

/** How libvips names samples, and what they are read as: bits, and the name of these. */
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
 * Opens a picture in any format that sharp reads.
 *
 * @throws DATA_INVALID for colours or samples that are not read; for a broken file whatever sharp does
 */
export async function openBySharp(bytes: Uint8Array, format: PictureFormat): Promise<OpenedImage> {
  const metadata = await load(bytes, format).metadata();
  const { space, depth, orientation = 1, width, height } = metadata;
  if (!isIn(MODES, space)) throw unread(`colours of the space ${space}`);
  if (!isIn(READ_AS, depth)) throw unread(`samples of the type ${depth}`);
  const { hasAlpha, isIndexed } = traitsOf(bytes, format, metadata);
  const mode = MODES[space][hasAlpha ? 1 : 0];
  const channels = SAMPLES[mode];
  const [sampleBits, raw] = READ_AS[depth];
  // Pillow turns a picture where TIFF's own tag says so; what EXIF says is for those who look at it.
  const isTurned = format === 'TIFF' && orientation > 1;
  const size = isTurned && orientation > 4 ? { width: height, height: width } : { width, height };

  const steps: readonly ((image: Sharp) => Sharp)[] = [
    (image) => (isTurned ? image.autoOrient() : image),
    (image) => (hasAlpha ? image : image.removeAlpha()),
    // From CMYK to CMYK: else a profile that is built in would make it RGB.
    (image) => (mode === 'CMYK' ? image.pipelineColourspace(space) : image),
    // Grey of 8 bits would lose its alpha.
    (image) => image.toColourspace(hasAlpha && space === 'b-w' ? 'srgb' : space),
  ];
  return {
    ...size,
    sampleBits,
    async decode(bitDepth) {
      const { data: samples, info } = await steps
        .reduce((image, step) => step(image), load(bytes, format))
        .raw({ depth: raw })
        .toBuffer({ resolveWithObject: true });
      const { channels: all } = info;
      const colours = hasAlpha ? channels - 1 : channels;
      const { data, wide } = levelsOf(samples, sampleBits, { channels: all, colours, bitDepth });
      return { ...size, mode, data: firstSamples(data, all, channels), isIndexed, wide };
    },
  };
}

function load(bytes: Uint8Array, format: PictureFormat): Sharp {
  return sharp(bytes, {
    // Of TIFF a tile that is missing is no more than a warning, and black.
    failOn: format === 'TIFF' ? 'warning' : 'error',
    ignoreIcc: true,
    // That of all formats has been applied.
    limitInputPixels: false,
  });
}

function isIn<T extends object>(table: T, key: PropertyKey): key is keyof T {
  return Object.hasOwn(table, key);
}

/** What makes a mode of samples, as Pillow takes them. */
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
    // One transparent colour makes no alpha channel, though libvips makes one of it.
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
