/** Image files of every format that is read, decoded to the modes in which Pillow opens them. */
import { asCxmindError, CxmindError, messageOf } from '../errors.ts';
import { readWhole } from '../files.ts';
import { openBmp } from './bmp.ts';
import type { DicomWindow, FileImage, ImageHeader, OpenedImage } from './decoded-image.ts';
import { openDicom } from './dicom/dicom.ts';
import { formatOf, type PictureFormat } from './formats.ts';
import { openGif } from './gif.ts';
import { refuseHuge } from './pixel-limit.ts';
import { PngDecoder } from './png.ts';
import type { BitDepth } from './sample-depth.ts';
import { openBySharp } from './sharp-image.ts';
import { tiffSize } from './tiff.ts';

/** Image by the path or the bytes of its file. */
export type ImageSource = string | Uint8Array;

/** Reads the bytes of a file. */
export type ReadFile = (path: string) => Uint8Array | Promise<Uint8Array>;

/** Options of decoding. */
export interface DecodeOptions {
  /** Reads a file. The bytes need not outlast the call. */
  readonly read?: ReadFile | undefined;
  /** Used bits of a 16-bit sample; 16 if absent. */
  readonly bitDepth?: BitDepth | undefined;
  /** Window of grey DICOM pictures; the file's own if absent or null. */
  readonly window?: DicomWindow | null | undefined;
  /** Decoder of plain PNG files. A caller of many images keeps one, with its memory. */
  readonly png?: PngDecoder;
}

/**
 * Decodes a PNG, JPEG, WebP, GIF, TIFF, BMP or AVIF file to the mode in which Pillow opens it: grey, RGB or CMYK, with
 * alpha if each pixel has it. 16-bit samples become levels by `bitDepth`. A DICOM file is decoded to grey or RGB levels
 * as pydicom shows it.
 *
 * EXIF rotation and embedded colour profiles are ignored, as in the reference. Of several frames the first is taken.
 *
 * @throws DATA_INVALID naming the image if it is missing, broken, too large, or of an unsupported format
 */
export async function decodeImage(
  source: ImageSource,
  { read = readWhole, bitDepth = 16, window = null, png }: DecodeOptions = {},
): Promise<FileImage> {
  return reading(source, read, async (bytes, format) => {
    const plain = format === 'PNG' ? (png ?? new PngDecoder()).decode(bytes) : null;
    if (plain !== null) return { ...plain, wide: null };
    return (await open(bytes, format)).decode({ bitDepth, window });
  });
}

/**
 * Reads size and depth of an image from its header alone.
 *
 * @throws DATA_INVALID as `decodeImage` does, but perhaps not for a file that is cut short
 */
export function imageHeader(source: ImageSource): Promise<ImageHeader> {
  return reading(source, readWhole, async (bytes, format) => {
    const { width, height, sampleBits } = await open(bytes, format);
    return { width, height, sampleBits };
  });
}

async function open(bytes: Uint8Array, format: PictureFormat): Promise<OpenedImage> {
  // sharp makes a table of all declared strips of a TIFF when it opens it.
  if (format === 'TIFF') refuseHuge(tiffSize(bytes), bytes.length);
  const opened = await openAs(bytes, format);
  refuseHuge(opened, bytes.length);
  return opened;
}

function openAs(bytes: Uint8Array, format: PictureFormat): OpenedImage | Promise<OpenedImage> {
  if (format === 'BMP') return openBmp(bytes);
  if (format === 'GIF') return openGif(bytes);
  if (format === 'DICOM') return openDicom(bytes);
  return openBySharp(bytes, format);
}

/** Runs `work` over the bytes of an image, and names the image in its errors. */
async function reading<T>(
  source: ImageSource,
  read: ReadFile,
  work: (bytes: Uint8Array, format: PictureFormat) => Promise<T>,
): Promise<T> {
  const label = typeof source === 'string' ? source : `of ${source.length} bytes`;
  const bytes = typeof source === 'string' ? await readImageFile(source, label, read) : source;
  if (bytes.length === 0) throw invalidImage(label, 'the file is empty');
  let format: PictureFormat | undefined;
  try {
    format = formatOf(bytes);
    return await work(bytes, format);
  } catch (cause) {
    if (cause instanceof CxmindError) throw invalidImage(label, cause.message, cause);
    throw invalidImage(
      label,
      `this ${format} file is truncated, broken or of a kind that is not read: ${reasonOf(cause)}`,
      cause,
    );
  }
}

/** First reason in a decoder's message, as one line. A heading that ends in a colon is joined with its next line. */
function reasonOf(cause: unknown): string {
  const lines = messageOf(cause).split('\n');
  const [first = '', second = ''] = lines.filter((line) => line.trim() !== '');
  return first.endsWith(':') ? `${first} ${second}`.trim() : first;
}

async function readImageFile(path: string, label: string, read: ReadFile): Promise<Uint8Array> {
  try {
    return await read(path);
  } catch (cause) {
    throw invalidImage(label, asCxmindError(cause).message, cause);
  }
}

function invalidImage(label: string, reason: string, cause?: unknown): CxmindError {
  return new CxmindError('DATA_INVALID', `image ${label}: ${reason}`, {
    detail: { image: label },
    cause,
  });
}
