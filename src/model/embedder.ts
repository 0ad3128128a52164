import type { SavePolicy } from '../graph/partition.ts';
import type { Device, View, Workspace } from '../device/device.ts';
import { putIndex, staging } from '../device/host-tensors.ts';
import { CxmindError } from '../errors.ts';
import { pixelRows, stackPixels, type Grid, type PixelValues } from '../tensor/patch-levels.ts';
import { copyElements, rows } from '../tensor/tensor.ts';
import type { PackedBatch } from './batch.ts';
import { architectureOf } from './families.ts';
import { ImageCache } from './vision/image-cache.ts';
import type { ModelConfig } from './model-config.ts';
import type { ModelWeights } from './model-weights.ts';
import { PixelRows } from './vision/pixel-rows.ts';
import { VisionTower, type VisionPass } from './vision/vision-tower.ts';
import { isVisionModule, moduleNames } from './weights/modules.ts';
import type { GradientSink } from './weights/weight-source.ts';

/** The tokens, images and videos of a batch as rows of the decoder's width, and tensors for the backward pass. */
export interface EmbeddedBatch {
  readonly hidden: View; // [T, D]
  readonly imageRows: Int32Array;
  /** Null without images. Its `deepstack` is added to the outputs of the decoder's first layers at `imageRows`. */
  readonly vision: VisionPass | null;
}

/** The activations and images that an embedder keeps. */
export interface EmbedderOptions {
  readonly save: SavePolicy;
  /**
   * True where the vision tower's weights never change. Image embeddings are then kept, and every image is a pass of
   * its own, so that no number depends on the images that are kept.
   */
  readonly isVisionFixed?: boolean;
}

/** Token embeddings, with image and video tokens replaced by the vision tower's rows. */
export class Embedder implements Disposable {
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #weights: ModelWeights;
  readonly #vision: VisionTower | null;
  readonly #pixels: PixelRows;
  readonly #images: ImageCache | null;

  constructor(
    device: Device,
    config: ModelConfig,
    weights: ModelWeights,
    { save, isVisionFixed = false }: EmbedderOptions,
  ) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#pixels = new PixelRows(device);
    this.#images = isVisionFixed ? new ImageCache() : null;
    const { tower } = architectureOf(config);
    this.#vision =
      config.vision && tower && new VisionTower(device, config.vision, tower, weights, save);
  }

  /**
   * Embeds a batch.
   *
   * @param saving whether the vision tower saves tensors for its backward pass
   * @throws DATA_INVALID when images and image tokens do not match
   */
  async forward(batch: PackedBatch, workspace: Workspace, saving: boolean): Promise<EmbeddedBatch> {
    const { operations } = this.#device;
    const hidden = await this.#tokens(batch, workspace);
    const pixels = stackPixels(batch.pixelValues, staging(this.#device, workspace));
    if (pixels === null) {
      return { hidden, imageRows: new Int32Array(0), vision: null };
    }
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
    const { grids } = batch;
    const vision =
      this.#images === null || saving
        ? await this.#vision.forward(this.#pixels.put(pixels, workspace), grids, workspace, saving)
        : await this.#kept(this.#vision, this.#images, pixels, grids, workspace);
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

  /** Adds the tower's rows for a layer (DeepStack) to its output, at the rows of images; does nothing without any. */
  addDeepstack(
    { imageRows, vision }: EmbeddedBatch,
    layer: number,
    output: View,
    workspace: Workspace,
  ): void {
    const added = vision?.deepstack[layer];
    if (added === undefined) return;
    this.#device.operations.addRows(added, putIndex(workspace, imageRows), output);
  }

  /**
   * The gradient of the tower's rows for a layer, from the gradient `[T, D]` of the output that they are added to.
   *
   * @returns null where the layer gets none, or nothing before it is trained
   */
  deepstackGradient(
    { imageRows, vision }: EmbeddedBatch,
    layer: number,
    gradient: View,
    workspace: Workspace,
  ): View | null {
    if (vision?.deepstack[layer] === undefined || vision.saved.length === 0) return null;
    return this.#imageGradient(imageRows, gradient, workspace);
  }

  /**
   * Adds the gradients of the embedding and the vision tower, where trained; `gradient [T, D]` is overwritten.
   *
   * @param deepstack the gradients of `deepstackGradient`, by layer
   */
  async backward(
    batch: PackedBatch,
    { imageRows, vision }: EmbeddedBatch,
    { gradient, deepstack }: { readonly gradient: View; readonly deepstack: readonly View[] },
    sink: GradientSink,
    workspace: Workspace,
  ): Promise<void> {
    const { operations } = this.#device;
    const imageIndex = putIndex(workspace, imageRows);
    if (vision !== null && this.#vision !== null && [...sink.trained].some(isVisionModule)) {
      const features = this.#imageGradient(imageRows, gradient, workspace);
      const gradients = { gradient: features, deepstack };
      await this.#vision.backward(vision, gradients, sink, workspace);
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

  /** The rows of images in a gradient `[T, D]`. */
  #imageGradient(imageRows: Int32Array, gradient: View, workspace: Workspace): View {
    const rows = workspace.take(gradient.dtype, [imageRows.length, gradient.shape[1]!]);
    this.#device.operations.gatherRows(gradient, putIndex(workspace, imageRows), rows);
    return rows;
  }

  /** Embeddings of the tokens, `[T, D]`. */
  async #tokens({ tokenIds }: PackedBatch, workspace: Workspace): Promise<View> {
    using weights = await this.#weights.source.take(moduleNames.embedding);
    const embedding = weights.views['weight']!; // [V, D]
    const hidden = workspace.take(embedding.dtype, [tokenIds.length, embedding.shape[1]!]);
    this.#device.operations.gatherRows(embedding, putIndex(workspace, tokenIds), hidden);
    return hidden;
  }

  /** The tower's rows of every image, computed only where they are not kept. */
  async #kept(
    tower: VisionTower,
    images: ImageCache,
    pixels: PixelValues,
    grids: readonly Grid[],
    workspace: Workspace,
  ): Promise<VisionPass> {
    const patchesOf = ([t, h, w]: Grid): number => t * h * w;
    const { mergeSize, deepstackBlocks } = this.#config.vision!;
    const perRow = mergeSize ** 2;
    const patches = grids.reduce((sum, grid) => sum + patchesOf(grid), 0);
    const shape = [patches / perRow, this.#config.text.hiddenSize];
    const allocate = staging(this.#device, workspace);
    const all = [null, ...deepstackBlocks].map(() => allocate(this.#weights.dtype, shape));
    let at = 0;
    for (const grid of grids) {
      const image = pixelRows(pixels, at, at + patchesOf(grid));
      const kept = await images.rowsOf(image, grid, async () => {
        using _ = workspace.scope();
        const pass = await tower.forward(
          this.#pixels.put(image, workspace),
          [grid],
          workspace,
          false,
        );
        const views = [pass.embeddings, ...pass.deepstack];
        return await Array.fromAsync(views, (view) => this.#device.download(view));
      });
      const end = at + patchesOf(grid);
      for (const [i, part] of all.entries()) {
        copyElements(kept[i]!, rows(part, at / perRow, end / perRow));
      }
      at = end;
    }
    const [embeddings, ...deepstack] = all.map((part) => workspace.put(part)) as [View, ...View[]];
    return { embeddings, deepstack, saved: [] };
  }

  [Symbol.dispose](): void {
    this.#vision?.[Symbol.dispose]();
    this.#pixels[Symbol.dispose]();
  }
}
