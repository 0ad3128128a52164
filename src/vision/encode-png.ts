import sharp from 'sharp';
import { CxmindError } from '../errors.ts';

/** A picture to be written: 8 bits a channel, row by row. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** `[height, width]` grey or `[height, width, 3]` RGB */
  readonly data: Uint8Array;
}

/**
 * The bytes of a PNG file; the same picture gives the same bytes.
 *
 * @throws SHAPE_MISMATCH when the data is neither grey nor RGB of that size
 */
export async function encodePng({ width, height, data }: Picture): Promise<Uint8Array> {
  const channels = data.length / (width * height);
  if (channels !== 1 && channels !== 3) {
    throw new CxmindError(
      'SHAPE_MISMATCH',
      `encodePng: ${data.length} bytes are not a grey or RGB picture of ${width} x ${height}`,
    );
  }
  return await sharp(data, { raw: { width, height, channels } })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();
}
