import sharp from 'sharp';
import { decodeImage, type ImageSource } from './decode.ts';
import { channelsOf } from './decoded-image.ts';
import { toPlain } from './modes.ts';

const QUALITY = 80;

/**
 * A small JPEG of an image, as models see it, for people to look at; smaller images keep their size.
 *
 * @param side pixels of the longer side
 * @returns null for what is not an image, or is not there
 */
export async function thumbnail(source: ImageSource, side: number): Promise<Uint8Array | null> {
  try {
    const image = toPlain(await decodeImage(source));
    const { width, height } = image;
    return await sharp(image.data, { raw: { width, height, channels: channelsOf(image) } })
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality: QUALITY })
      .toBuffer();
  } catch {
    return null;
  }
}
