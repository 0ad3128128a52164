/** Images as decoders give them: their modes, their sizes, and the depth of the files' samples. */
import type { BitDepth, WideSamples } from './sample-depth.ts';

/** Samples of a pixel in each mode, by Pillow's names. */
export const SAMPLES = { L: 1, LA: 2, RGB: 3, RGBA: 4, CMYK: 4 } as const;
export type ImageMode = keyof typeof SAMPLES;

/** Width and height in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** Decoded image in the mode of its file, row by row, 8 bits a sample. */
export interface DecodedImage<M extends ImageMode = ImageMode> extends ImageSize {
  readonly mode: M;
  /** `[height, width, C]`, C as in `SAMPLES` */
  readonly data: Uint8Array;
  /** Set if the file holds palette indices or single bits. Pillow resizes such an image by nearest neighbour. */
  readonly isIndexed: boolean;
}

/** Image as models take it: grey or RGB. */
export type PlainImage = DecodedImage<'L' | 'RGB'>;

/** Samples of a pixel of an image. */
export function channelsOf<M extends ImageMode>({ mode }: DecodedImage<M>): (typeof SAMPLES)[M] {
  return SAMPLES[mode];
}

/** Decoded image and the depth of its file. */
export interface FileImage extends DecodedImage {
  /** Null if the file has at most 8 bits a sample. */
  readonly wide: WideSamples | null;
}

/** Size and depth of an image, known without decoding it. */
export interface ImageHeader extends ImageSize {
  /** Bits of a sample; 8 if it has fewer. */
  readonly sampleBits: 8 | 16 | 32;
}

/** Centre and width of a window on the values of a DICOM picture. */
export type DicomWindow = readonly [center: number, width: number];

/** Choice of levels for samples of more than 8 bits. */
interface LevelChoice {
  /** Used bits of a 16-bit sample. */
  readonly bitDepth: BitDepth;
  /** Window of grey DICOM pictures; null is the file's own. */
  readonly window: DicomWindow | null;
}

/** Image file whose header has been read. */
export interface OpenedImage extends ImageHeader {
  decode(choice: LevelChoice): FileImage | Promise<FileImage>;
}
