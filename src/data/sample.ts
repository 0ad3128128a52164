import { access } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { CxmindError } from '../errors.ts';
import { stackRows } from '../tensor/rows.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ChatTemplate, ContentPart } from '../text/chat-template.ts';
import { expandPlaceholders } from '../text/image-tokens.ts';
import type { PromptFormat } from '../text/prompt-format.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { decodeImage, imageSize, type ImageSource } from '../vision/decode.ts';
import type { Grid } from '../vision/patchify.ts';
import type { ImageProcessor, ProcessedImage } from '../vision/processor.ts';
import { boundedSizes, boundImage, type PixelBounds } from '../vision/resize.ts';
import { rowError, type DatasetRow, type ImageReference, type RowKeys } from './row.ts';
import { SampleCache } from './sample-cache.ts';

const MARKER = '<image>';

/** A prompt as the policy takes it. */
export interface PromptSample {
  /**
   * Name of its file and line; unique in a data set, whose files lie in one directory. Random streams are
   * named by it, so it must not say where that directory is.
   */
  readonly id: string;
  readonly row: DatasetRow;
  /** The prompt in its format, with an `<image>` marker for every image. */
  readonly text: string;
  /** `[T]`, one placeholder a merged patch. */
  readonly tokenIds: Int32Array;
  /** i32 `[3, T]` */
  readonly positions: Tensor<'i32'>;
  /** f32 `[N, C·Pt·P·P]` of all images in order, or null without images. */
  readonly pixelValues: Tensor<'f32'> | null;
  /** One per image. */
  readonly grids: readonly Grid[];
  readonly groundTruth: string;
}

/** Positions i32 `[3, T]` of expanded token ids; the model's own rule. */
export type PositionRule = (tokenIds: Int32Array, grids: readonly Grid[]) => Tensor<'i32'>;

/** What turns rows into samples. */
export interface SampleOptions {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  /** Null for a model without vision. */
  readonly vision: { readonly processor: ImageProcessor; readonly imageTokenId: number } | null;
  readonly positionsOf: PositionRule;
  /** Null leaves prompts as they are. */
  readonly promptFormat: PromptFormat | null;
  readonly keys: RowKeys;
  /** Images are resized into these before the vision processor. */
  readonly pixelBounds: PixelBounds;
  /** Joined to relative image paths; null: they are looked for in the working directory, then beside the row's file. */
  readonly imageDir: string | null;
  /** Tokens. */
  readonly maxPromptLength: number;
  readonly maxResponseLength: number;
  /** Samples are kept up to this much; 1 GiB unless given. */
  readonly cacheBytes?: number;
}

/** Makes samples of rows: format, chat text, tokens, images, positions. Each is made once and reused. */
export class SampleBuilder {
  readonly #options: SampleOptions;
  readonly #cache: SampleCache;

  constructor(options: SampleOptions) {
    this.#options = options;
    this.#cache = new SampleCache(options.cacheBytes ?? 2 ** 30);
  }

  /**
   * The sample of a row. A text longer than `maxPromptLength` is cut at its end.
   *
   * @throws DATA_INVALID naming file, line and field when an image is bad, markers and images differ in
   *   number, or the cut would go through an image
   */
  async build(row: DatasetRow): Promise<PromptSample> {
    const cached = this.#cache.get(row);
    if (cached !== undefined) return cached;
    const { text, ids } = this.#promptOf(row);
    const images: ProcessedImage[] = [];
    for (const [index, reference] of (row.images ?? []).entries()) {
      images.push(await this.#processImage(row, index, reference));
    }
    const grids = images.map(({ grid }) => grid);
    const tokenIds = this.#cut(row, this.#expand(ids, grids));
    const sample: PromptSample = {
      id: `${basename(row.file)}:${row.line}`,
      row,
      text,
      tokenIds,
      positions: this.#options.positionsOf(tokenIds, grids),
      pixelValues: stackRows(images.map(({ pixelValues }) => pixelValues)),
      grids,
      groundTruth: row.answer,
    };
    this.#cache.set(row, sample);
    return sample;
  }

  /**
   * Tokens of a row's prompt before any cut; of its images only the headers are read.
   *
   * @throws DATA_INVALID as `build` does
   */
  async promptLength(row: DatasetRow): Promise<number> {
    const { ids } = this.#promptOf(row);
    const grids: Grid[] = [];
    for (const [index, reference] of (row.images ?? []).entries()) {
      const source = await this.#sourceOf(row, reference);
      grids.push(
        await this.#naming(row, index, async () => {
          const size = await imageSize(source);
          const bounded = boundedSizes(size, this.#options.pixelBounds).at(-1) ?? size;
          return this.#processor(row).gridOf(bounded);
        }),
      );
    }
    return this.#expand(ids, grids).length;
  }

  /**
   * The tokens that teach a row's answer, the end of turn last.
   *
   * @throws DATA_INVALID naming file, line and field when they are more than `maxResponseLength`
   */
  encodeAnswer(row: DatasetRow): Int32Array {
    const { tokenizer, maxResponseLength, keys } = this.#options;
    const ids = [...tokenizer.encode(row.answer), tokenizer.endOfTurnId];
    if (ids.length > maxResponseLength) {
      throw rowError(
        row,
        keys.answerKey,
        `${ids.length} tokens with the end of turn, max_response_length is ${maxResponseLength}`,
      );
    }
    return Int32Array.from(ids);
  }

  /** The formatted prompt and its token ids, one placeholder an image. */
  #promptOf(row: DatasetRow): { text: string; ids: readonly number[] } {
    const { tokenizer, chatTemplate, vision, promptFormat, keys } = this.#options;
    const text = promptFormat?.render(row.prompt) ?? row.prompt;
    const pieces = text.split(MARKER);
    const markers = pieces.length - 1;
    const images = row.images?.length ?? 0;
    if (markers !== images) {
      throw rowError(
        row,
        keys.imageKey,
        `${keys.promptKey} has ${markers} ${MARKER} marker(s), but there are ${images} image(s)`,
      );
    }
    const content = row.images === null ? text : partsOf(pieces);
    const ids = tokenizer.encode(chatTemplate.render([{ role: 'user', content }]));
    const placeholders =
      vision === null ? 0 : ids.filter((id) => id === vision.imageTokenId).length;
    if (vision !== null && placeholders !== images) {
      throw rowError(
        row,
        keys.promptKey,
        `the chat text has ${placeholders} image placeholder(s) for ${images} image(s)`,
      );
    }
    return { text, ids };
  }

  #expand(ids: readonly number[], grids: readonly Grid[]): Int32Array {
    const { vision } = this.#options;
    if (vision === null) return Int32Array.from(ids);
    const counts = grids.map((grid) => vision.processor.tokensOf(grid));
    return expandPlaceholders(ids, vision.imageTokenId, counts);
  }

  #cut(row: DatasetRow, ids: Int32Array): Int32Array {
    const { maxPromptLength, vision, keys } = this.#options;
    if (ids.length <= maxPromptLength) return ids;
    if (vision !== null && ids.lastIndexOf(vision.imageTokenId) >= maxPromptLength) {
      throw rowError(
        row,
        keys.promptKey,
        `${ids.length} tokens with its images, max_prompt_length is ${maxPromptLength}; raise it, ` +
          'lower max_pixels, or set filter_overlong_prompts',
      );
    }
    return ids.slice(0, maxPromptLength);
  }

  async #processImage(
    row: DatasetRow,
    index: number,
    reference: ImageReference,
  ): Promise<ProcessedImage> {
    const source = await this.#sourceOf(row, reference);
    return this.#naming(row, index, async () => {
      const image = await decodeImage(source);
      return this.#processor(row).process(boundImage(image, this.#options.pixelBounds));
    });
  }

  #processor(row: DatasetRow): ImageProcessor {
    const { vision, keys } = this.#options;
    if (vision === null) throw rowError(row, keys.imageKey, 'this model takes no images');
    return vision.processor;
  }

  async #sourceOf(row: DatasetRow, reference: ImageReference): Promise<ImageSource> {
    if (typeof reference !== 'string') return reference.bytes;
    const { imageDir } = this.#options;
    if (imageDir !== null) return resolve(imageDir, reference);
    const besideFile = resolve(dirname(row.file), reference);
    return (await isReadable(reference)) || !(await isReadable(besideFile))
      ? resolve(reference)
      : besideFile;
  }

  /** Runs `work`, whose errors get the row's file, line and image put before them. */
  async #naming<T>(row: DatasetRow, index: number, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof CxmindError) || error.code !== 'DATA_INVALID') throw error;
      throw rowError(row, `${this.#options.keys.imageKey}[${index}]`, error.message, error);
    }
  }
}

/** Text pieces with an image between each two; empty pieces are left out. */
function partsOf(pieces: readonly string[]): ContentPart[] {
  return pieces.flatMap((text, index): ContentPart[] => [
    ...(index === 0 ? [] : [{ type: 'image' } as const]),
    ...(text === '' ? [] : [{ type: 'text', text } as const]),
  ]);
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
