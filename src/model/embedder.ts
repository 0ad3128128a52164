import { CxmindError } from '../errors.ts';
import type { Runtime } from '../ort/runtime.ts';
import { patchValues } from '../tensor/patch-levels.ts';
import { addRows, gatherRows, placeRows } from '../tensor/rows.ts';
import { rows, type Tensor } from '../tensor/tensor.ts';
import type { Workspace } from '../tensor/workspace.ts';
import type { Grid, PackedBatch } from './batch.ts';
import { ImageCache } from './image-cache.ts';
import type { ModelConfig } from './qwen2-5-vl/config.ts';
import type { GradientViews } from './qwen2-5-vl/gradients.ts';
import { VisionTower, type VisionPass } from './qwen2-5-vl/vision-tower.ts';
import type { BackboneViews } from './qwen2-5-vl/weights.ts';

/** The tokens, images and videos of a batch as rows of the decoder's width, and what the backward pass needs. */
export interface EmbeddedBatch {
  readonly hidden: Tensor<'f32'>; // [T, D]
  readonly imageRows: Int32Array;
  readonly vision: VisionPass | null;
}

/** What an embedder keeps. */
export interface EmbedderOptions {
  readonly save: 'needed' | 'inputs';
  /**
   * That the vision tower's weights never change: what it makes of an image is kept then. Every image is a pass of
   * its own, so that no number depends on what is kept.
   */
  readonly isVisionFixed?: boolean;
}

/** The way in: token embeddings, with image and video tokens replaced by the vision tower's rows. */
export class Embedder implements Disposable {
  readonly #config: ModelConfig;
  readonly #weights: BackboneViews;
  readonly #vision: VisionTower | null;
  readonly #images: ImageCache | null;

  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: BackboneViews,
    { save, isVisionFixed = false }: EmbedderOptions,
  ) {
    this.#config = config;
    this.#weights = weights;
    this.#images = isVisionFixed ? new ImageCache() : null;
    this.#vision =
      config.vision === null || weights.vision === null
        ? null
        : new VisionTower(runtime, config.vision, weights.vision, {
            save,
            adapters: weights.adapters,
          });
  }

  /**
   * @param saving keep what the vision tower's `backward` needs
   * @throws DATA_INVALID when images and image tokens do not match
   */
  forward(batch: PackedBatch, workspace: Workspace, saving: boolean): EmbeddedBatch {
    const hidden = workspace.take('f32', [batch.tokenIds.length, this.#config.text.hiddenSize]);
    gatherRows(this.#weights.embedding, batch.tokenIds, hidden);
    if (batch.pixelValues === null) return { hidden, imageRows: new Int32Array(0), vision: null };
    if (this.#vision === null) {
      throw new CxmindError(
        'DATA_INVALID',
        'the batch has images, but the model has no vision tower',
      );
    }
    const { imagePad, videoPad } = this.#config.tokens ?? {};
    const imageRows = Int32Array.from(batch.tokenIds.keys()).filter((row) => {
      const id = batch.tokenIds[row];
      return id === imagePad || id === videoPad;
    });
    const pixels = patchValues([batch.pixelValues], (shape) => workspace.take('f32', shape))!;
    const vision =
      this.#images === null || saving
        ? this.#vision.forward(pixels, batch.grids, workspace, saving)
        : {
            embeddings: this.#kept(this.#vision, this.#images, pixels, batch.grids, workspace),
            saved: [],
          };
    const features = vision.embeddings.shape[0]!;
    if (features !== imageRows.length) {
      throw new CxmindError(
        'DATA_INVALID',
        `${imageRows.length} image or video tokens in the text, but features for ${features}; ` +
          'was a prompt truncated through one?',
      );
    }
    placeRows(vision.embeddings, imageRows, hidden);
    return { hidden, imageRows, vision };
  }

  /** Adds what is trained of the embedding's and vision tower's gradients; `gradient [T, D]` is overwritten. */
  backward(
    batch: PackedBatch,
    { imageRows, vision }: EmbeddedBatch,
    gradient: Tensor<'f32'>,
    accumulators: GradientViews,
    workspace: Workspace,
  ): void {
    if (vision !== null && this.#vision !== null && accumulators.vision !== null) {
      const features = workspace.take('f32', [imageRows.length, gradient.shape[1]!]);
      gatherRows(gradient, imageRows, features);
      this.#vision.backward(vision, features, accumulators.vision, workspace);
    }
    if (accumulators.embedding === null) return;
    for (const row of imageRows) rows(gradient, row, row + 1).data.fill(0);
    addRows(gradient, batch.tokenIds, accumulators.embedding);
  }

  /** The rows of every image, as `VisionTower.forward` gives them. */
  #kept(
    tower: VisionTower,
    images: ImageCache,
    pixels: Tensor<'f32'>,
    grids: readonly Grid[],
    workspace: Workspace,
  ): Tensor<'f32'> {
    const patchesOf = ([t, h, w]: Grid): number => t * h * w;
    const perRow = this.#config.vision!.mergeSize ** 2;
    const patches = grids.reduce((sum, grid) => sum + patchesOf(grid), 0);
    const all = workspace.take('f32', [patches / perRow, this.#config.text.hiddenSize]);
    let at = 0;
    for (const grid of grids) {
      const image = rows(pixels, at, at + patchesOf(grid));
      const mark = workspace.mark();
      const values = images.embeddings(
        image,
        grid,
        () => tower.forward(image, [grid], workspace, false).embeddings,
      );
      workspace.release(mark);
      rows(all, at / perRow, (at + patchesOf(grid)) / perRow).data.set(values);
      at += patchesOf(grid);
    }
    return all;
  }

  [Symbol.dispose](): void {
    this.#vision?.[Symbol.dispose]();
  }
}
