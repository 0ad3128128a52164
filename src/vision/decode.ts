import { asCxmindError, CxmindError } from '../errors.ts';
import { readWhole } from '../files.ts';
import { openBmp } from './bmp.ts';
import type { FileImage, ImageHeader, OpenedImage } from './decoded-image.ts';
import { formatOf, type PictureFormat } from './formats.ts';
import { openGif } from './gif.ts';
import { refuseHuge } from './pixel-limit.ts';
import { decodePlainPng } from './png.ts';
import type { BitDepth } from './sample-depth.ts';
import { openBySharp } from './sharp-image.ts';
import { tiffSize } from './tiff.ts';

/** An image as it is referred to: a path, or the bytes of an encoded file. */
export type ImageSource = string | Uint8Array;

/** Gives the bytes of a file. */
export type ReadFile = (path: string) => Uint8Array | Promise<Uint8Array>;

/** How an image is read. */
export interface DecodeOptions {
  /** What error messages call the image; the path itself unless given. */
  readonly name?: string;
  /** Reads a file; what it gives need not outlast the call. */
  readonly read?: ReadFile | undefined;
  /** Bits of a 16-bit sample that hold something; 16 unless given. */
  readonly bitDepth?: BitDepth | undefined;
}

/**
 * Decodes a PNG, JPEG, WebP, GIF, TIFF, BMP or AVIF file to what Pillow opens it as: grey, RGB or CMYK, with alpha where
 * the file has it for each pixel. 16-bit samples become levels by `bitDepth`.
 *
 * EXIF rotation and embedded colour profiles are ignored, as in the reference; of several frames the first is taken.
 *
 * @throws DATA_INVALID naming the image when it is missing, broken, too large, or of a format that is not read
 */
export async function decodeImage(
  source: ImageSource,
  { name, read = readWhole, bitDepth = 16 }: DecodeOptions = {},
): Promise<FileImage> {
  return reading(source, name, read, async (bytes, format) => {
    const plain = format === 'PNG' ? decodePlainPng(bytes) : null;
    if (plain !== null) return { ...plain, wide: null };
    return (await open(bytes, format)).decode(bitDepth);
  });
}

/**
 * Size and depth of an image from its header alone.
 *
 * @throws DATA_INVALID as `decodeImage` does; a file that is cut short may pass
 */
export function imageHeader(source: ImageSource, name?: string): Promise<ImageHeader> {
  return reading(source, name, readWhole, async (bytes, format) => {
    const { width, height, sampleBits } = await open(bytes, format);
    return { width, height, sampleBits };
  });
}

async function open(bytes: Uint8Array, format: PictureFormat): Promise<OpenedImage> {
  // What opens it makes tables of all the strips that it declares.
  if (format === 'TIFF') refuseHuge(tiffSize(bytes), bytes.length);
  const opened = await openAs(bytes, format);
  refuseHuge(opened, bytes.length);
  return opened;
}

function openAs(bytes: Uint8Array, format: PictureFormat): OpenedImage | Promise<OpenedImage> {
  if (format === 'BMP') return openBmp(bytes);
  if (format === 'GIF') return openGif(bytes);
  return openBySharp(bytes, format);
}

/** Runs `work` over the bytes of an image; its errors name the image. */
async function reading<T>(
  source: ImageSource,
  name: string | undefined,
  read: ReadFile,
  work: (bytes: Uint8Array, format: PictureFormat) => Promise<T>,
): Promise<T> {
  const label = name ?? (typeof source === 'string' ? source : `of ${source.length} bytes`);
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

/** What a decoder says, on one line: its first reason, behind what it was about where that stands alone. */
function reasonOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  const [first = '', second = ''] = message.split('\n').filter((line) => line.trim() !== '');
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
