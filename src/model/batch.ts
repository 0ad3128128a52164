import type { Tensor } from '../tensor/tensor.ts';

/** Frames, rows and columns of patches of one image. */
export type Grid = readonly [t: number, h: number, w: number];

/** Sequences packed one after the other without padding, with their images: what a policy computes on. */
export interface PackedBatch {
  /** `[T]`, all sequences' tokens in a row. */
  readonly tokenIds: Int32Array;
  /** i32 `[3, T]`: temporal, height and width position of each token. */
  readonly positions: Tensor<'i32'>;
  /** Tokens of each sequence; they sum to T. */
  readonly lengths: readonly number[];
  /** Rows whose next token is scored, ascending; row `r` predicts token `r + 1` of the same sequence. */
  readonly scoredRows: Int32Array;
  /** f32 `[N, C·Pt·P·P]`, the patches of all images in the order of their placeholders; null without images. */
  readonly pixelValues: Tensor<'f32'> | null;
  /** One per image. */
  readonly grids: readonly Grid[];
}
