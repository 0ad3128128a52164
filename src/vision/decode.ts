import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { CxmindError } from '../errors.ts';
import { decodePlainPng } from './png.ts';

/** An image as it is referred to: a path, or the bytes of an encoded file. */
export type ImageSource = string | Uint8Array;

/** Gives the bytes of a file. */
export type ReadFile = (path: string) => Uint8Array | Promise<Uint8Array>;

/** A decoded image, row by row, 8 bits a channel. */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  /** `[height, width, C]`: RGB, or grey alone. */
  readonly data: Uint8Array;
  /** Whether the file holds palette indices or single bits; such an image is resized by nearest neighbour. */
  readonly isIndexed: boolean;
}

/** Channels of an image: 3, or 1 where it is grey alone. */
export function channelsOf({ width, height, data }: DecodedImage): 1 | 3 {
  return data.length === width * height ? 1 : 3;
}

/**
 * Decodes a PNG, JPEG, WebP, GIF or TIFF file to RGB, or to grey where it has no other colour.
 *
 * Alpha is dropped, not composited; EXIF rotation and embedded colour profiles are ignored, as in the
 * reference. 16-bit channels keep their high byte (the reference saturates them to white). Of several
 * frames the first is taken.
 *
 * @param name what error messages call the image; the path itself unless given
 * @param read reads a file; what it gives need not outlast the call
 * @throws DATA_INVALID naming the image when it is missing, truncated or not an image
 */
export async function decodeImage(
  source: ImageSource,
  name?: string,
  read: ReadFile = readFile,
): Promise<DecodedImage> {
  const label = labelOf(source, name);
  const bytes = typeof source === 'string' ? await readImageFile(source, label, read) : source;
  if (bytes.length === 0) throw invalidImage(label, 'the file is empty');
  const plain = decodePlainPng(bytes);
  if (plain !== null) return plain;
  try {
    const image = sharp(bytes, { failOn: 'error', ignoreIcc: true });
    const { isPalette, bitsPerSample, space, depth } = await image.metadata();
    const isGrey = space === 'b-w' && depth === 'uchar';
    const { data, info } = await image
      .removeAlpha()
      .toColourspace(isGrey ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const channels = isGrey ? 1 : 3;
    if (info.channels !== channels) {
      throw invalidImage(label, `decoded to ${info.channels} channels instead of ${channels}`);
    }
    return {
      width: info.width,
      height: info.height,
      data,
      isIndexed: isPalette || bitsPerSample === 1,
    };
  } catch (cause) {
    if (cause instanceof CxmindError) throw cause;
    throw invalidImage(label, `it is truncated or not an image: ${messageOf(cause)}`, cause);
  }
}

/**
 * Width and height of an image from its header alone.
 *
 * @throws DATA_INVALID naming the image when it is missing or not an image; a truncated one may pass
 */
export async function imageSize(
  source: ImageSource,
  name?: string,
): Promise<{ width: number; height: number }> {
  const label = labelOf(source, name);
  const bytes = typeof source === 'string' ? await readImageFile(source, label, readFile) : source;
  try {
    const { width, height } = await sharp(bytes).metadata();
    return { width, height };
  } catch (cause) {
    throw invalidImage(label, `it is truncated or not an image: ${messageOf(cause)}`, cause);
  }
}

function labelOf(source: ImageSource, name: string | undefined): string {
  return name ?? (typeof source === 'string' ? source : `of ${source.length} bytes`);
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

async function readImageFile(path: string, label: string, read: ReadFile): Promise<Uint8Array> {
  try {
    return await read(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    const reason = code === 'ENOENT' ? 'no such file' : String(cause);
    throw invalidImage(label, reason, cause);
  }
}

function invalidImage(label: string, reason: string, cause?: unknown): CxmindError {
  return new CxmindError('DATA_INVALID', `image ${label}: ${reason}`, {
    detail: { image: label },
    cause,
  });
}
