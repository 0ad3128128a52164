/** Limits on the number of an image's pixels, checked before anything of that size is allocated. */
import { CxmindError } from '../errors.ts';
import type { ImageSize } from './decoded-image.ts';

/** Most pixels of an image, decoded or resized. Pillow has the same limit. */
export const MOST_PIXELS = 178_956_970;
/** Most pixels for each byte of a file: twice what deflate makes of a byte if a pixel is a bit. */
const MOST_PIXELS_PER_BYTE = 2 ** 14;
/** Number of pixels that is always accepted. Any file of that size is decoded within a second. */
const FEW_PIXELS = 2 ** 24;

/**
 * Refuses an image by its declared size, before it takes time and memory: one that is larger than Pillow reads, or
 * larger than its file can hold.
 *
 * @throws DATA_INVALID
 */
export function refuseHuge({ width, height }: ImageSize, fileBytes: number): void {
  const pixels = width * height;
  if (pixels > MOST_PIXELS) {
    throw new CxmindError(
      'DATA_INVALID',
      `${width} x ${height} pixels are more than the ${MOST_PIXELS} that are read`,
    );
  }
  if (pixels > FEW_PIXELS && pixels > MOST_PIXELS_PER_BYTE * fileBytes) {
    throw new CxmindError(
      'DATA_INVALID',
      `${width} x ${height} pixels are more than its ${fileBytes} bytes can hold`,
    );
  }
}
