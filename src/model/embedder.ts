import type { Device, View, Workspace } from '../device/device.ts';
import { putIndex } from '../device/host-tensors.ts';
import { CxmindError } from '../errors.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { pixelRows, type PixelValues } from '../tensor/patch-levels.ts';
import { copyElements, rows, zeros } from '../tensor/tensor.ts';
import type { BlockAdapters } from './adapters/adapter.ts';
import type { Grid, PackedBatch } from './batch.ts';
import { architectureOf } from './families.ts';
import { ImageCache } from './image-cache.ts';
import type { ModelConfig } from './model-config.ts';
import { PixelRows } from './pixel-rows.ts';
import type { ProductBlocks } from './weights/products.ts';
import { VisionTower, type VisionPass } from './vision-tower.ts';
import {
  isVisionModule,
  moduleNames,
  type GradientSink,
  type WeightSource,
} from './weights/weight-source.ts';

/** The tokens, images and videos of a batch as rows of the decoder's width, and what the backward pass needs. */
export interface EmbeddedBatch {
  readonly hidden: View; // [T, D]
  readonly imageRows: Int32Array;
  readonly vision: VisionPass | null;
}

/** Whose weights an embedder takes, and what it keeps. */
export interface EmbedderOptions {
  /** Of the weights and the rows. */
  readonly dtype: FloatDType;
  readonly source: WeightSource;
  /** Of every block of the vision tower; null when the weights themselves are trained. */
  readonly adapters: ProductBlocks<BlockAdapters> | null;
  readonly save: 'needed' | 'inputs';
  /**
   * That the vision tower's weights never change: what it makes of an image is kept then. Every image is a pass of
   * its own, so that no number depends on what is kept.
   */
  readonly isVisionFixed?: boolean;
}

/** The way in: token embeddings, with image and video tokens replaced by the vision tower's rows. */
export class Embedder implements Disposable {
  readonly #device: Device;
  readonly #dtype: FloatDType;
  readonly #config: ModelConfig;
  readonly #source: WeightSource;
  readonly #vision: VisionTower | null;
  readonly #pixels: PixelRows;
  readonly #images: ImageCache | null;

  constructor(
    device: Device,
    config: ModelConfig,
    { dtype, source, adapters, save, isVisionFixed = false }: EmbedderOptions,
  ) {
    this.#device = device;
    this.#dtype = dtype;
    this.#config = config;
    this.#source = source;
    this.#pixels = new PixelRows(device);
    this.#images = isVisionFixed ? new ImageCache() : null;
    const { vision: graphs, weights } = architectureOf(config);
    const blocks = weights.blocks(config, 'policy');
    this.#vision =
      config.vision && graphs
        ? new VisionTower(device, config.vision, { graphs, blocks, dtype, source, save, adapters })
        : null;
  }

  /**
   * @param saving keep what the vision tower's `backward` needs
   * @throws DATA_INVALID when images and image tokens do not match
   */
  async forward(batch: PackedBatch, workspace: Workspace, saving: boolean): Promise<EmbeddedBatch> {
    const { operations } = this.#device;
    const hidden = await this.#tokens(batch, workspace);
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
    const { pixelValues: pixels, grids } = batch;
    const vision =
      this.#images === null || saving
        ? await this.#vision.forward(this.#pixels.put(pixels, workspace), grids, workspace, saving)
        : {
            embeddings: await this.#kept(this.#vision, this.#images, pixels, grids, workspace),
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
    operations.placeRows(vision.embeddings, putIndex(workspace, imageRows), hidden);
    return { hidden, imageRows, vision };
  }

  /** Adds what is trained of the embedding's and vision tower's gradients; `gradient [T, D]` is overwritten. */
  async backward(
    batch: PackedBatch,
    { imageRows, vision }: EmbeddedBatch,
    gradient: View,
    sink: GradientSink,
    workspace: Workspace,
  ): Promise<void> {
    const { operations } = this.#device;
    const imageIndex = putIndex(workspace, imageRows);
    if (vision !== null && this.#vision !== null && [...sink.trained].some(isVisionModule)) {
      const features = workspace.take(gradient.dtype, [imageRows.length, gradient.shape[1]!]);
      operations.gatherRows(gradient, imageIndex, features);
      await this.#vision.backward(vision, features, sink, workspace);
    }
    if (!sink.trained.has(moduleNames.embedding)) return;
    if (imageRows.length > 0) {
      const nothing = workspace.take(gradient.dtype, [imageRows.length, gradient.shape[1]!]);
      operations.zero(nothing);
      operations.placeRows(nothing, imageIndex, gradient);
    }
    using accumulator = await sink.take(moduleNames.embedding);
    const tokens = putIndex(workspace, batch.tokenIds);
    operations.addRows(gradient, tokens, accumulator.views['weight']!);
  }

  /** The rows of the tokens, `[T, D]`. */
  async #tokens({ tokenIds }: PackedBatch, workspace: Workspace): Promise<View> {
    using weights = await this.#source.take(moduleNames.embedding);
    const embedding = weights.views['weight']!; // [V, D]
    const hidden = workspace.take(embedding.dtype, [tokenIds.length, embedding.shape[1]!]);
    this.#device.operations.gatherRows(embedding, putIndex(workspace, tokenIds), hidden);
    return hidden;
  }

  /** The rows of every image, as `VisionTower.forward` gives them. */
  async #kept(
    tower: VisionTower,
    images: ImageCache,
    pixels: PixelValues,
    grids: readonly Grid[],
    workspace: Workspace,
  ): Promise<View> {
    const patchesOf = ([t, h, w]: Grid): number => t * h * w;
    const perRow = this.#config.vision!.mergeSize ** 2;
    const patches = grids.reduce((sum, grid) => sum + patchesOf(grid), 0);
    const all = zeros(this.#dtype, [patches / perRow, this.#config.text.hiddenSize]);
    let at = 0;
    for (const grid of grids) {
      const image = pixelRows(pixels, at, at + patchesOf(grid));
      const embeddings = await images.embeddings(image, grid, async () => {
        const mark = workspace.mark();
        const pass = await tower.forward(
          this.#pixels.put(image, workspace),
          [grid],
          workspace,
          false,
        );
        const made = await this.#device.download(pass.embeddings);
        workspace.release(mark);
        return made;
      });
      const end = at + patchesOf(grid);
      copyElements(embeddings, rows(all, at / perRow, end / perRow));
      at = end;
    }
    return workspace.put(all);
  }

  [Symbol.dispose](): void {
    this.#vision?.[Symbol.dispose]();
    this.#pixels[Symbol.dispose]();
  }
}
