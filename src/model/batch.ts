import type { PixelValues } from '../tensor/patch-levels.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Frames, rows and columns of patches of one image. */
export type Grid = readonly [t: number, h: number, w: number];

/**
 * Token counts of a prompt and of the responses that branch off it. Their rows follow each other; a response sees the
 * prompt and itself.
 */
export interface TokenTree {
  readonly prompt: number;
  readonly responses: readonly number[];
}

/** Sequences packed one after the other without padding, with their images: the input of a network. */
export interface PackedBatch {
  /** Tokens of all trees, `[T]`. */
  readonly tokenIds: Int32Array;
  /** Temporal, height and width position of each token, i32 `[3, T]`. */
  readonly positions: Tensor<'i32'>;
  /** One per prompt; their tokens sum to T. */
  readonly trees: readonly TokenTree[];
  /** Row that predicts each scored token, `[R]`; a prompt's last row predicts the first token of each response. */
  readonly scoredRows: Int32Array;
  /** Scored tokens, `[R]`, in the order of the sequences. */
  readonly targets: Int32Array;
  /** Patches of all images, `[N, C·Pt·P·P]` together, in parts and in the order of their placeholders. */
  readonly pixelValues: readonly PixelValues[];
  /** One per image. */
  readonly grids: readonly Grid[];
}
