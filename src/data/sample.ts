/** Samples: prompts of rows as a policy takes them, with token ids, positions and patches. */
import { LRUCache } from 'lru-cache';
import type { PromptInput } from '../model/pack.ts';
import { patchBytes, type Grid, type PatchLevels } from '../tensor/patch-levels.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import type { ChatMessage } from '../text/chat-template.ts';
import type { ImageSource } from '../vision/decode.ts';
import type { BitDepth } from '../vision/sample-depth.ts';
import { placesOf, promptWith, type PositionRule } from './media-prompt.ts';
import { promptText, type PromptText, type PromptTextOptions } from './prompt-text.ts';
import { PromptTokens, type PromptTokenOptions } from './prompt-tokens.ts';
import { rowBytes, type Answer, type DatasetRow } from './row.ts';
import type { RowStore } from './row-store.ts';
import { MediaReader, mediaOf, type Media, type MediaOptions } from './sample-media.ts';

/** Prompt as the policy takes it. */
export interface PromptSample {
  /**
   * Name of the file and line of the row, unique in a data set. It seeds random streams, so it does not depend on
   * where the data set lies.
   */
  readonly id: string;
  readonly row: DatasetRow;
  /** Formatted prompt with one `<image>` or `<video>` marker for each image or video. */
  readonly text: string;
  /** Conversation that the prompt ends. */
  readonly messages: readonly ChatMessage[];
  /** `[T]`, one placeholder for each merged patch. */
  readonly tokenIds: Int32Array;
  /** Tells whether the end was cut off because the prompt was too long. */
  readonly isCut: boolean;
  /** i32 `[3, T]` */
  readonly positions: Tensor<'i32'>;
  /** `[N, C·Pt·P·P]`, the patches of all images or videos in order; null without any. */
  readonly pixelValues: PatchLevels | null;
  /** Patch grid of each image or video. */
  readonly grids: readonly Grid[];
  readonly groundTruth: Answer;
}

/** The prompt of a sample as the input of a model. */
export function promptInputOf(sample: PromptSample): PromptInput {
  const { tokenIds, positions, pixelValues, grids } = sample;
  return { tokenIds: tensorOf('i32', [tokenIds.length], tokenIds), positions, pixelValues, grids };
}

/** Everything that turns rows into samples. */
export interface SampleOptions extends PromptTextOptions, PromptTokenOptions, MediaOptions {
  readonly positionsOf: PositionRule;
  /** Bytes of samples that are kept; 1 GiB if absent. */
  readonly cacheBytes?: number;
}

/**
 * Builder of samples: a row is formatted (`prompt-text`), tokenised and cut (`prompt-tokens`), and its images or
 * videos are read (`sample-media`). The samples used last are kept, within a bound on their bytes.
 */
export class SampleBuilder {
  readonly #options: SampleOptions;
  readonly #tokens: PromptTokens;
  readonly #media: MediaReader;
  readonly #kept: LRUCache<DatasetRow, PromptSample>;

  constructor(options: SampleOptions) {
    this.#options = options;
    this.#tokens = new PromptTokens(options);
    this.#media = new MediaReader(options);
    const maxSize = Math.max(1, options.cacheBytes ?? 2 ** 30);
    this.#kept = new LRUCache({ maxSize, sizeCalculation: bytesOf });
  }

  /**
   * Sample of a row. A prompt longer than `maxPromptLength` is cut at its end.
   *
   * @throws DATA_INVALID naming file, line and field if an image or video is bad, markers and they differ in number,
   *   or the cut would go through one
   */
  async build(row: DatasetRow): Promise<PromptSample> {
    const kept = this.#kept.get(row);
    if (kept !== undefined) return kept;
    const { text, messages, media, kind } = this.#promptOf(row);
    const read = await this.#media.read(row, media);
    const { vision, positionsOf } = this.#options;
    const whole = this.#tokens.encode(row, messages, kind, placesOf(vision, kind, read));
    const tokenIds = this.#tokens.cut(row, whole);
    const { positions, pixelValues, grids } = promptWith(tokenIds, kind, read, positionsOf);
    const sample: PromptSample = {
      id: `${row.name}:${row.line}`,
      row,
      text,
      messages,
      tokenIds,
      isCut: tokenIds.length < whole.length,
      ...{ positions, pixelValues, grids },
      groundTruth: row.answer,
    };
    this.#kept.set(row, sample);
    return sample;
  }

  /** Files of a row's images, as paths or bytes, for readers other than the policy. */
  imageSources(row: DatasetRow): Promise<ImageSource[]> {
    return this.#media.imageSources(row, mediaOf(row, this.#options.keys));
  }

  /**
   * Tokens of a row's prompt before any cut. Only the headers of its images and videos are read.
   *
   * @throws DATA_INVALID as `build` does
   */
  async promptLength(row: DatasetRow): Promise<number> {
    const { messages, media, kind } = this.#promptOf(row);
    const places = placesOf(this.#options.vision, kind, await this.#media.grids(row, media));
    return this.#tokens.encode(row, messages, kind, places).length;
  }

  /** Token ids that teach a row's answer, the end of turn last. @throws as `PromptTokens.encodeAnswer` */
  encodeAnswer(row: DatasetRow): Int32Array {
    return this.#tokens.encodeAnswer(row);
  }

  /** Finds the bit depth of a data set's 16-bit pictures if it is `auto`. @param rows all rows, in file order */
  settleBitDepth(rows: RowStore): Promise<void> {
    return this.#media.settleBitDepth(rows);
  }

  /** Used bits of the data set's 16-bit samples. */
  get bitDepth(): BitDepth {
    return this.#media.bitDepth;
  }

  #promptOf(
    row: DatasetRow,
  ): PromptText & { readonly media: Media | null; readonly kind: Media['kind'] } {
    const media = mediaOf(row, this.#options.keys);
    return { ...promptText(row, media, this.#options), media, kind: media?.kind ?? 'image' };
  }
}

function bytesOf({ row, tokenIds, positions, pixelValues }: PromptSample): number {
  const pixelBytes = pixelValues === null ? 0 : patchBytes(pixelValues);
  // The cache takes no entry of zero bytes.
  return Math.max(1, rowBytes(row) + tokenIds.byteLength + positions.data.byteLength + pixelBytes);
}
