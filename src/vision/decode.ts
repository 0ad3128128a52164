import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { CxmindError } from '../errors.ts';

/** An image as it is referred to: a path, or the bytes of an encoded file. */
export type ImageSource = string | Uint8Array;

/** A decoded image: 8-bit RGB, row by row, three bytes a pixel. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** `[height, width, 3]` */
  readonly data: Uint8Array;
  /** Whether the file holds palette indices or single bits; such an image is resized by nearest neighbour. */
  readonly isIndexed: boolean;
}

/**
 * Decodes a PNG, JPEG, WebP, GIF or TIFF file to RGB.
 *
 * Alpha is dropped, not composited; EXIF rotation and embedded colour profiles are ignored, as in the
 * reference. 16-bit channels keep their high byte (the reference saturates them to white). Of several
 * frames the first is taken.
 *
 * @param name what error messages call the image; the path itself unless given
 * @throws DATA_INVALID naming the image when it is missing, truncated or not an image
 */
export async function decodeImage(source: ImageSource, name?: string): Promise<RgbImage> {
  const label = labelOf(source, name);
  const bytes = typeof source === 'string' ? await readImageFile(source, label) : source;
  if (bytes.length === 0) throw invalidImage(label, 'the file is empty');
  try {
    const image = sharp(bytes, { failOn: 'error', ignoreIcc: true });
    const { isPalette, bitsPerSample } = await image.metadata();
    const { data, info } = await image
      .removeAlpha()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3) {
      throw invalidImage(label, `decoded to ${info.channels} channels instead of 3`);
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
  const bytes = typeof source === 'string' ? await readImageFile(source, label) : source;
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

async function readImageFile(path: string, label: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
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
