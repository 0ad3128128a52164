/** PNG and JPEG files written by sharp, which is loaded with the first picture: most threads never write one. */
import { CxmindError } from '../errors.ts';
import { decodeImage, type ImageSource } from './decode.ts';
import { channelsOf, type ImageSize } from './decoded-image.ts';
import { toPlain } from './modes.ts';

/** Picture to be written: 8 bits a channel, row by row. */
export interface Picture extends ImageSize {
  /** `[height, width]` grey or `[height, width, 3]` RGB */
  readonly data: Uint8Array;
}

/** JPEG quality of a thumbnail. */
const QUALITY = 80;

/**
 * Encodes a picture as a PNG file. Equal pictures give equal bytes.
 *
 * @throws SHAPE_MISMATCH if the data is neither grey nor RGB of that size
 */
export async function encodePng({ width, height, data }: Picture): Promise<Uint8Array> {
  const channels = data.length / (width * height);
  if (channels !== 1 && channels !== 3) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `encodePng: ${data.length} bytes are not a grey or RGB picture of ${width} x ${height}`,
    );
  }
  const { default: sharp } = await import('sharp');
  return await sharp(data, { raw: { width, height, channels } })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();
}

/**
 * Encodes a small JPEG of an image, as models see it, for people to look at. A smaller image keeps its size.
 *
 * @param side pixels of the longer side
 * @returns null if the source is missing or no image
 */
export async function thumbnail(source: ImageSource, side: number): Promise<Uint8Array | null> {
  try {
    const image = toPlain(await decodeImage(source));
    const { width, height } = image;
    const { default: sharp } = await import('sharp');
    return await sharp(image.data, { raw: { width, height, channels: channelsOf(image) } })
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality: QUALITY })
      .toBuffer();
  } catch {
    return null;
  }
}
