import { CxmindError } from '../errors.ts';
import type { Runtime } from '../ort/runtime.ts';
import { addRows, gatherRows, placeRows } from '../tensor/rows.ts';
import { rows, type Tensor } from '../tensor/tensor.ts';
import type { Workspace } from '../tensor/workspace.ts';
import type { PackedBatch } from './batch.ts';
import type { ModelConfig } from './qwen2-5-vl/config.ts';
import { VisionTower, type VisionPass } from './qwen2-5-vl/vision-tower.ts';
import type { BackboneViews } from './qwen2-5-vl/weights.ts';

/** The tokens, images and videos of a batch as rows of the decoder's width, and what the backward pass needs. */
export interface EmbeddedBatch {
  readonly hidden: Tensor<'f32'>; // [T, D]
  readonly imageRows: Int32Array;
  readonly vision: VisionPass | null;
}

/** The way in: token embeddings, with image and video tokens replaced by the vision tower's rows. */
export class Embedder implements Disposable {
  readonly #config: ModelConfig;
  readonly #weights: BackboneViews;
  readonly #vision: VisionTower | null;

  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: BackboneViews,
    save: 'needed' | 'inputs',
  ) {
    this.#config = config;
    this.#weights = weights;
    this.#vision =
      config.vision === null || weights.vision === null
        ? null
        : new VisionTower(runtime, config.vision, weights.vision, save);
  }

  /**
   * @param saving keep what `backward` needs
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
    const vision = this.#vision.forward(batch.pixelValues, batch.grids, workspace, saving);
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

  /** Adds the gradients of embedding and vision tower to `accumulators`; `gradient [T, D]` is overwritten. */
  backward(
    batch: PackedBatch,
    { imageRows, vision }: EmbeddedBatch,
    gradient: Tensor<'f32'>,
    accumulators: BackboneViews,
    workspace: Workspace,
  ): void {
    if (vision !== null && this.#vision !== null && accumulators.vision !== null) {
      const features = workspace.take('f32', [imageRows.length, gradient.shape[1]!]);
      gatherRows(gradient, imageRows, features);
      this.#vision.backward(vision, features, accumulators.vision, workspace);
      for (const row of imageRows) rows(gradient, row, row + 1).data.fill(0);
    }
    addRows(gradient, batch.tokenIds, accumulators.embedding);
  }

  [Symbol.dispose](): void {
    this.#vision?.[Symbol.dispose]();
  }
}
