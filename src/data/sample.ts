import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { CxmindError } from '../errors.ts';
import { stackLevels } from '../tensor/patch-levels.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ChatMessage, ChatTemplate, ContentPart } from '../text/chat-template.ts';
import { expandPlaceholders } from '../text/image-tokens.ts';
import type { PromptFormat } from '../text/prompt-format.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { ImageSource } from '../vision/decode.ts';
import type { Grid } from '../vision/patchify.ts';
import type { ProcessedPixels } from '../vision/processor.ts';
import type { BitDepth } from '../vision/sample-depth.ts';
import { BitDepthChoice } from './bit-depth.ts';
import { answerText } from './answer.ts';
import type {
  FromFiles,
  LocalPixels,
  PixelReader,
  ProcessedVideo,
  VideoOrFrames,
} from './pixels.ts';
import { rowError, type DatasetRow, type ImageReference, type VideoReference } from './row.ts';
import type { RowKeys } from './row-keys.ts';
import type { PromptSample } from './prompt-sample.ts';
import { SampleCache } from './sample-cache.ts';

/**
 * Positions i32 `[3, T]` of expanded token ids; the model's own rule.
 *
 * @param secondsPerGrid one per grid where these are of videos, null where they are of images
 */
export type PositionRule = (
  tokenIds: Int32Array,
  grids: readonly Grid[],
  secondsPerGrid: readonly number[] | null,
) => Tensor<'i32'>;

/** What a model with vision needs besides text. */
export interface SampleVision {
  readonly pixels: LocalPixels;
  /** Reads pixels in place of `pixels`, on other threads for instance. */
  readonly reader?: PixelReader;
  readonly imageTokenId: number;
  readonly videoTokenId: number;
}

/** What turns rows into samples. */
export interface SampleOptions {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
  /** Null for a model without vision. */
  readonly vision: SampleVision | null;
  readonly positionsOf: PositionRule;
  /** Null leaves prompts as they are. */
  readonly promptFormat: PromptFormat | null;
  readonly keys: RowKeys;
  /** Images that a prompt may have; 0 sets no limit. */
  readonly limitImages: number;
  /** Joined to relative paths of images and videos; null: they are looked for in the working directory, then beside the row's file. */
  readonly imageDir: string | null;
  /** Tokens. */
  readonly maxPromptLength: number;
  readonly maxResponseLength: number;
  /** Samples are kept up to this much; 1 GiB unless given. */
  readonly cacheBytes?: number;
  /** Bits that samples of 16-bit pictures use; `auto`, unless given, is the most that those of the data do. */
  readonly bitDepth?: BitDepth | 'auto';
  /** Takes a line about a picture that is read, though perhaps not as it was meant. */
  readonly warn?: (message: string) => void;
}

/** The images or the videos of a row, whichever it has. */
interface Media {
  readonly kind: 'image' | 'video';
  readonly key: string;
  readonly entries: readonly VideoReference[];
}

/** Makes samples of rows: format, chat text, tokens, images and videos, positions. Each is made once and reused. */
export class SampleBuilder {
  readonly #options: SampleOptions;
  readonly #cache: SampleCache;
  readonly #bitDepth: BitDepthChoice;

  constructor(options: SampleOptions) {
    const { bitDepth = 'auto', warn = () => undefined } = options;
    this.#options = options;
    this.#bitDepth = new BitDepthChoice(bitDepth, warn);
    this.#cache = new SampleCache(options.cacheBytes ?? 2 ** 30);
  }

  /**
   * The sample of a row. A text longer than `maxPromptLength` is cut at its end.
   *
   * @throws DATA_INVALID naming file, line and field when an image or video is bad, markers and they differ in
   *   number, or the cut would go through one
   */
  async build(row: DatasetRow): Promise<PromptSample> {
    const cached = this.#cache.get(row);
    if (cached !== undefined) return cached;
    const media = this.#mediaOf(row);
    const { text, ids } = this.#promptOf(row, media);
    const read = await this.#eachOf(row, media, ({ name, source, reader }) =>
      this.#bitDepth.read(name, (depth): Promise<ReadMedia> =>
        media?.kind === 'video'
          ? reader.video(source, depth)
          : reader.image(source as ImageSource, depth),
      ),
    );
    const grids = read.map(({ grid }) => grid);
    const whole = this.#expand(ids, media, grids);
    const tokenIds = this.#cut(row, whole);
    const seconds = media?.kind === 'video' ? read.map((each) => each.secondsPerGrid ?? 1) : null;
    const sample: PromptSample = {
      id: `${row.name}:${row.line}`,
      row,
      text,
      tokenIds,
      isCut: tokenIds.length < whole.length,
      positions: this.#options.positionsOf(tokenIds, grids, seconds),
      pixelValues: stackLevels(read.map(({ pixelValues }) => pixelValues)),
      grids,
      groundTruth: row.answer,
    };
    this.#cache.set(row, sample);
    return sample;
  }

  /**
   * Tokens of a row's prompt before any cut; of its images and videos only the headers are read.
   *
   * @throws DATA_INVALID as `build` does
   */
  async promptLength(row: DatasetRow): Promise<number> {
    const media = this.#mediaOf(row);
    const { ids } = this.#promptOf(row, media);
    const grids = await this.#eachOf(row, media, ({ source, pixels }) =>
      media?.kind === 'video' ? pixels.videoGrid(source) : pixels.imageGrid(source as ImageSource),
    );
    return this.#expand(ids, media, grids).length;
  }

  /**
   * Finds the bit depth of 16-bit pictures, where it is `auto`, from some of those of a data set: one depth for all of
   * it, which does not depend on the order in which samples are made.
   *
   * @param rows all of the data set's, in file order
   */
  async settleBitDepth(rows: readonly DatasetRow[]): Promise<void> {
    if (this.#options.vision === null) return;
    const pictures = rows.flatMap((row) =>
      (row.images ?? row.videos?.filter(isList).flat() ?? []).map((image) => ({ row, image })),
    );
    await this.#bitDepth.settle(pictures.length, async (place) => {
      const { row, image } = pictures[place]!;
      return { name: nameOf(row, image), source: await this.#fileOf(row, image) };
    });
  }

  /**
   * The tokens that teach a row's answer, the end of turn last.
   *
   * @throws DATA_INVALID naming file, line and field when they are more than `maxResponseLength`, or one of them
   *   stands for an image or video
   */
  encodeAnswer(row: DatasetRow): Int32Array {
    const { tokenizer, maxResponseLength, keys, vision } = this.#options;
    const ids = [...tokenizer.encode(answerText(row.answer)), tokenizer.endOfTurnId];
    if (ids.length > maxResponseLength) {
      throw rowError(
        row,
        keys.answerKey,
        `${ids.length} tokens with the end of turn, max_response_length is ${maxResponseLength}`,
      );
    }
    const pads = vision === null ? [] : [vision.imageTokenId, vision.videoTokenId];
    const pad = ids.find((id) => pads.includes(id));
    if (pad !== undefined) {
      const reason = `an answer is text, but ${tokenizer.decode([pad])} stands for an image or video`;
      throw rowError(row, keys.answerKey, reason);
    }
    return Int32Array.from(ids);
  }

  #mediaOf({ images, videos }: DatasetRow): Media | null {
    const { imageKey, videoKey } = this.#options.keys;
    if (images !== null) return { kind: 'image', key: imageKey, entries: images };
    return videos === null ? null : { kind: 'video', key: videoKey, entries: videos };
  }

  /** The formatted prompt and its token ids, one placeholder an image or video. */
  #promptOf(row: DatasetRow, media: Media | null): { text: string; ids: readonly number[] } {
    const { tokenizer, promptFormat, keys, limitImages } = this.#options;
    const text = promptFormat?.render(row.prompt) ?? row.prompt;
    const { kind, entries, key } = media ?? { kind: 'image', entries: [], key: keys.imageKey };
    const turns = [...row.history, { role: 'user', content: text } as const];
    const asked = turns.filter(({ role }) => role === 'user');
    const markers = asked.reduce((n, { content }) => n + content.split(`<${kind}>`).length - 1, 0);
    if (markers !== entries.length) {
      const found = `${keys.promptKey} has ${markers} <${kind}> marker(s)`;
      throw rowError(row, key, `${found}, but there are ${entries.length} ${kind}(s)`);
    }
    if (kind === 'image' && limitImages > 0 && entries.length > limitImages) {
      const reason = `${entries.length} images, worker.rollout.limit_images is ${limitImages}`;
      throw rowError(row, key, reason);
    }
    const messages = turns.map(({ role, content }): ChatMessage => ({
      role,
      content: role !== 'user' || media === null ? content : partsOf(content, media.kind),
    }));
    const ids = tokenizer.encode(this.#render(row, messages));
    this.#checkPlaceholders(row, ids, media);
    return { text, ids };
  }

  /** The chat text; a template may refuse the turns of a row, and then the row is wrong. */
  #render(row: DatasetRow, messages: readonly ChatMessage[]): string {
    const { chatTemplate } = this.#options;
    try {
      return chatTemplate.render(messages);
    } catch (error) {
      if (row.history.length === 0 || !(error instanceof CxmindError)) throw error;
      throw rowError(row, 'messages', error.message, error);
    }
  }

  /** A prompt that spells a placeholder out would be given pixels that are not there. */
  #checkPlaceholders(row: DatasetRow, ids: readonly number[], media: Media | null): void {
    const { vision, keys } = this.#options;
    if (vision === null) return;
    const tokens = { image: vision.imageTokenId, video: vision.videoTokenId };
    for (const kind of ['image', 'video'] as const) {
      const found = ids.filter((id) => id === tokens[kind]).length;
      const wanted = media?.kind === kind ? media.entries.length : 0;
      if (found === wanted) continue;
      const reason = `the chat text has ${found} ${kind} placeholder(s) for ${wanted} ${kind}(s)`;
      throw rowError(row, keys.promptKey, reason);
    }
  }

  #expand(ids: readonly number[], media: Media | null, grids: readonly Grid[]): Int32Array {
    const { vision } = this.#options;
    if (vision === null || media === null) return Int32Array.from(ids);
    const counts = grids.map((grid) => vision.pixels.tokensOf(grid));
    const placeholder = media.kind === 'video' ? vision.videoTokenId : vision.imageTokenId;
    return expandPlaceholders(ids, placeholder, counts);
  }

  #cut(row: DatasetRow, ids: Int32Array): Int32Array {
    const { maxPromptLength, vision, keys } = this.#options;
    if (ids.length <= maxPromptLength) return ids;
    const pads = vision === null ? [] : [vision.imageTokenId, vision.videoTokenId];
    if (pads.some((pad) => ids.lastIndexOf(pad) >= maxPromptLength)) {
      throw rowError(
        row,
        keys.promptKey,
        `${ids.length} tokens with its images or videos, max_prompt_length is ${maxPromptLength}; raise it, ` +
          'lower max_pixels, or set filter_overlong_prompts',
      );
    }
    return ids.slice(0, maxPromptLength);
  }

  /** What `work` makes of each image or video, all at a time; of several failures the first one counts. */
  async #eachOf<T>(
    row: DatasetRow,
    media: Media | null,
    work: (entry: MediaEntry) => Promise<T>,
  ): Promise<T[]> {
    if (media === null || media.entries.length === 0) return [];
    const { vision } = this.#options;
    if (vision === null) throw rowError(row, media.key, `this model takes no ${media.kind}s`);
    const { pixels, reader = pixels } = vision;
    const results = await Promise.allSettled(
      media.entries.map(async (entry, index) => {
        const source = await this.#sourceOf(row, entry);
        const name = nameOf(row, entry);
        return naming(row, `${media.key}[${index}]`, () => work({ name, source, reader, pixels }));
      }),
    );
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }

  async #sourceOf(row: DatasetRow, entry: VideoReference): Promise<VideoOrFrames> {
    if (!isList(entry)) return this.#fileOf(row, entry);
    return Promise.all(entry.map((frame) => this.#fileOf(row, frame)));
  }

  async #fileOf(row: DatasetRow, reference: ImageReference): Promise<ImageSource> {
    if (typeof reference !== 'string') return reference.bytes;
    const { imageDir } = this.#options;
    if (imageDir !== null) return resolve(imageDir, reference);
    const besideFile = resolve(dirname(row.file), reference);
    return (await isReadable(reference)) || !(await isReadable(besideFile))
      ? resolve(reference)
      : besideFile;
  }
}

type ReadMedia = ProcessedPixels & FromFiles & Partial<Pick<ProcessedVideo, 'secondsPerGrid'>>;

/** An image or a video of a row, and what reads it. */
interface MediaEntry {
  /** What warnings call it. */
  readonly name: string;
  readonly source: VideoOrFrames;
  readonly reader: PixelReader;
  readonly pixels: LocalPixels;
}

/** The path of an image or a video, or of the first of a video's frames, and the row that it belongs to. */
function nameOf({ file, line }: DatasetRow, entry: VideoReference): string {
  const reference = isList(entry) ? entry[0] : entry;
  const path = typeof reference === 'string' ? reference : 'an embedded picture';
  return `${file}:${line}: ${path}`;
}

function isList(entry: VideoReference): entry is readonly ImageReference[] {
  return Array.isArray(entry);
}

/** Runs `work`, whose errors get the row's file, line and field put before them. */
async function naming<T>(row: DatasetRow, field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CxmindError) || error.code !== 'DATA_INVALID') throw error;
    throw rowError(row, field, error.message, error);
  }
}

/** The pieces of a text with an image or video between each two; empty pieces are left out. */
function partsOf(text: string, kind: Media['kind']): ContentPart[] {
  return text
    .split(`<${kind}>`)
    .flatMap((text, index): ContentPart[] => [
      ...(index === 0 ? [] : [{ type: kind }]),
      ...(text === '' ? [] : [{ type: 'text', text } as const]),
    ]);
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
