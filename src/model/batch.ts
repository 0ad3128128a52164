/** The input of a network: sequences packed one after the other without padding, with their images. */
import type { Grid, PixelValues } from '../tensor/patch-levels.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Token counts of a prompt and of the responses that branch off it. Their rows follow each other. A token of a response
 * attends to the prompt and to that response.
 */
export interface TokenTree {
  readonly prompt: number;
  readonly responses: readonly number[];
}

/** Packed sequences as a network's input: T tokens, of which R are scored. */
export interface PackedBatch {
  /** Tokens of all trees, `[T]`. */
  readonly tokenIds: Int32Array;
  /** Temporal, height and width position of each token, i32 `[3, T]`. */
  readonly positions: Tensor<'i32'>;
  /** The tree of each prompt; their tokens sum to T. */
  readonly trees: readonly TokenTree[];
  /** Row that predicts each scored token, `[R]`; a prompt's last row predicts the first token of each response. */
  readonly scoredRows: Int32Array;
  /** Scored tokens, `[R]`, in the order of the sequences. */
  readonly targets: Int32Array;
  /** Patches of all images, `[N, C·Pt·P·P]` together, in parts and in the order of their placeholders. */
  readonly pixelValues: readonly PixelValues[];
  /** The grid of each image. */
  readonly grids: readonly Grid[];
}
