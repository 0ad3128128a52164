import sharp from 'sharp';
import type { ImageSource } from './decode.ts';

const QUALITY = 80;

/**
 * A small JPEG of an image for people to look at; smaller images keep their size.
 *
 * @param side pixels of the longer side
 * @returns null for what is not an image, or is not there
 */
export async function thumbnail(source: ImageSource, side: number): Promise<Uint8Array | null> {
  try {
    return await sharp(source)
      .resize(side, side, { fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#fff' })
      .jpeg({ quality: QUALITY })
      .toBuffer();
  } catch {
    return null;
  }
}
