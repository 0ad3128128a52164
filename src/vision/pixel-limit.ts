import { CxmindError } from '../errors.ts';
import type { ImageHeader } from './decoded-image.ts';

/** Of an image that is read, as Pillow has it, and of what it is resized to. */
export const MOST_PIXELS = 178_956_970;
/** Twice what deflate makes of a byte where a pixel is a bit; only blank pictures of some newer formats have more. */
const MOST_PIXELS_PER_BYTE = 2 ** 14;
/** Decoded in a second whatever the file has. */
const FEW_PIXELS = 2 ** 24;

/**
 * Refuses an image by the size that it declares, before time and memory are taken for it: larger than Pillow reads, or
 * larger than its file can hold.
 *
 * @throws DATA_INVALID
 */
export function refuseHuge(
  { width, height }: Pick<ImageHeader, 'width' | 'height'>,
  fileBytes: number,
): void {
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
