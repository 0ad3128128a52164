import type { PatchLevels } from '../tensor/patch-levels.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Grid } from '../vision/patchify.ts';
import type { Answer } from './answer.ts';
import type { DatasetRow } from './row.ts';

/** A prompt as the policy takes it. */
export interface PromptSample {
  /**
   * Name of its file and line, unique in a data set. Random streams are named by it, so it does not say where the
   * data set lies.
   */
  readonly id: string;
  readonly row: DatasetRow;
  /** The prompt in its format, with an `<image>` or `<video>` marker for each of them. */
  readonly text: string;
  /** `[T]`, one placeholder a merged patch. */
  readonly tokenIds: Int32Array;
  /** Whether its end was cut off, for being longer than prompts may be. */
  readonly isCut: boolean;
  /** i32 `[3, T]` */
  readonly positions: Tensor<'i32'>;
  /** `[N, C·Pt·P·P]` of all images or videos in order, or null without any. */
  readonly pixelValues: PatchLevels | null;
  /** One per image or video. */
  readonly grids: readonly Grid[];
  readonly groundTruth: Answer;
}
