import type { PixelValues } from '../tensor/patch-levels.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Frames, rows and columns of patches of one image. */
export type Grid = readonly [t: number, h: number, w: number];

/**
 * A prompt and the responses that branch off it, as token counts: their rows follow each other, and each
 * response sees the prompt and itself.
 */
export interface TokenTree {
  readonly prompt: number;
  readonly responses: readonly number[];
}

/** Sequences packed one after the other without padding, with their images: what a policy computes on. */
export interface PackedBatch {
  /** `[T]`, all trees' tokens in a row. */
  readonly tokenIds: Int32Array;
  /** i32 `[3, T]`: temporal, height and width position of each token. */
  readonly positions: Tensor<'i32'>;
  /** One per prompt; their tokens sum to T. */
  readonly trees: readonly TokenTree[];
  /** `[R]`, the row that predicts each scored token; a prompt's last row predicts the first token of each response. */
  readonly scoredRows: Int32Array;
  /** `[R]`, the tokens that are scored, in the order of the sequences. */
  readonly targets: Int32Array;
  /** `[N, C·Pt·P·P]`, the patches of all images in the order of their placeholders; null without images. */
  readonly pixelValues: PixelValues | null;
  /** One per image. */
  readonly grids: readonly Grid[];
}
