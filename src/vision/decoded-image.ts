import type { BitDepth, WideSamples } from './sample-depth.ts';

/** Modes of an image, as Pillow names them, with how many samples a pixel has. */
export const SAMPLES = { L: 1, LA: 2, RGB: 3, RGBA: 4, CMYK: 4 } as const;
export type ImageMode = keyof typeof SAMPLES;

/** A decoded image in the mode of its file, row by row, 8 bits a sample. */
export interface DecodedImage<M extends ImageMode = ImageMode> {
  readonly width: number;
  readonly height: number;
  readonly mode: M;
  /** `[height, width, C]`, C as in `SAMPLES` */
  readonly data: Uint8Array;
  /** Whether the file holds palette indices or single bits; such an image is resized by nearest neighbour. */
  readonly isIndexed: boolean;
}

/** An image as models take it: grey alone, or RGB. */
export type PlainImage = DecodedImage<'L' | 'RGB'>;

/** Samples of a pixel: of a plain image 3, or 1 where it is grey alone. */
export function channelsOf<M extends ImageMode>({ mode }: DecodedImage<M>): (typeof SAMPLES)[M] {
  return SAMPLES[mode];
}

/** An image, and what its levels were made of. */
export interface FileImage extends DecodedImage {
  /** Null where the file has 8 bits a sample, or fewer. */
  readonly wide: WideSamples | null;
}

/** What is known of an image without decoding it. */
export interface ImageHeader {
  readonly width: number;
  readonly height: number;
  /** As they become levels: 8 where there are fewer. */
  readonly sampleBits: 8 | 16 | 32;
}

/** A file whose header has been read. */
export interface OpenedImage extends ImageHeader {
  /** @param bitDepth bits of a 16-bit sample that hold something */
  decode(bitDepth: BitDepth): FileImage | Promise<FileImage>;
}
