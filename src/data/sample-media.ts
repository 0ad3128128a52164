/** Images and videos of rows, read as patches or, from headers alone, as patch grids. */
import type { ImageSource } from '../vision/decode.ts';
import type { ProcessedPixels } from '../vision/processor.ts';
import type { BitDepth } from '../vision/sample-depth.ts';
import { BitDepthChoice } from './bit-depth.ts';
import { isDataInvalid } from './invalid-rows.ts';
import type {
  FromFiles,
  LocalPixels,
  PixelReader,
  ProcessedVideo,
  VideoOrFrames,
} from './pixel-reader.ts';
import {
  imagePath,
  isFrames,
  picturesOf,
  rowError,
  type DatasetRow,
  type ImageReference,
  type RowKeys,
  type VideoReference,
} from './row.ts';
import type { RowStore } from './row-store.ts';

/** Vision part of a model, as samples need it. */
export interface SampleVision {
  /** Reads headers, and pixels if there is no `reader`. */
  readonly pixels: LocalPixels;
  /** Reads pixels in place of `pixels`, for instance on other threads. */
  readonly reader?: PixelReader;
  /** Placeholder of an image. */
  readonly imageTokenId: number;
  /** Placeholder of a video. */
  readonly videoTokenId: number;
}

/** Options of reading images and videos. */
export interface MediaOptions {
  /** Null for a model without vision. */
  readonly vision: SampleVision | null;
  /**
   * Folder of relative paths. Null looks for a path in the working directory first, then beside the row's file.
   */
  readonly imageDir: string | null;
  /** Used bits of 16-bit samples. `auto`, the default, takes the most bits that the data set's pictures use. */
  readonly bitDepth?: BitDepth | 'auto';
  /** Receives one line about a picture that may not be read as meant. */
  readonly warn?: (message: string) => void;
}

/** Images or videos of a row. No row has both. */
export interface Media {
  readonly kind: 'image' | 'video';
  /** Column that they stand in. */
  readonly key: string;
  readonly entries: readonly VideoReference[];
}

/** Patches of an image or a video, and for a video the times of its grid rows. */
export type ReadMedia = ProcessedPixels &
  FromFiles &
  Partial<Pick<ProcessedVideo, 'secondsPerGrid' | 'times'>>;

/** Patch grid of an image or a video, and for a video the times of its rows. */
export type MediaGrid = Pick<ReadMedia, 'grid' | 'times'>;

/** Images or videos of a row; null if it has neither column. */
export function mediaOf(
  { images, videos }: DatasetRow,
  { imageKey, videoKey }: RowKeys,
): Media | null {
  if (images !== null) return { kind: 'image', key: imageKey, entries: images };
  return videos === null ? null : { kind: 'video', key: videoKey, entries: videos };
}

/** Reader of the images and videos of rows. Every error names file, line and field of the row. */
export class MediaReader {
  readonly #vision: SampleVision | null;
  readonly #imageDir: string | null;
  readonly #bitDepth: BitDepthChoice;

  constructor({ vision, imageDir, bitDepth = 'auto', warn = () => undefined }: MediaOptions) {
    this.#vision = vision;
    this.#imageDir = imageDir;
    this.#bitDepth = new BitDepthChoice(bitDepth, warn);
  }

  /** Used bits of the data set's 16-bit samples. */
  get bitDepth(): BitDepth {
    return this.#bitDepth.depth;
  }

  /** @throws DATA_INVALID if one cannot be read */
  read(row: DatasetRow, media: Media | null): Promise<ReadMedia[]> {
    return this.#each(row, media, ({ pixels, reader = pixels }, source, name) =>
      this.#bitDepth.read(name, (depth): Promise<ReadMedia> =>
        media?.kind === 'video'
          ? reader.video(source, depth)
          : reader.image(source as ImageSource, depth),
      ),
    );
  }

  /** Files of images, as bytes or as paths that do not depend on the row's folder. Videos have none. */
  async imageSources(row: DatasetRow, media: Media | null): Promise<ImageSource[]> {
    if (media?.kind !== 'image') return [];
    return Promise.all((row.images ?? []).map((image) => this.#fileOf(row, image)));
  }

  /** Patch grids, from headers alone. @throws DATA_INVALID if a header cannot be read */
  grids(row: DatasetRow, media: Media | null): Promise<MediaGrid[]> {
    return this.#each(row, media, async ({ pixels }, source): Promise<MediaGrid> =>
      media?.kind === 'video'
        ? pixels.videoGrid(source)
        : { grid: await pixels.imageGrid(source as ImageSource) },
    );
  }

  /**
   * Finds the bit depth of 16-bit pictures if it is `auto`. It is one for the whole data set, and does not depend on
   * the order in which samples are made.
   *
   * @param rows all rows of the data set, in file order
   */
  async settleBitDepth(rows: RowStore): Promise<void> {
    if (this.#vision === null) return;
    let count = 0;
    for (let i = 0; i < rows.length; i++) count += rows.pictureCount(i);
    let at = 0;
    let before = 0;
    // Places are asked for in rising order.
    await this.#bitDepth.settle(count, async (place) => {
      while (before + rows.pictureCount(at) <= place) before += rows.pictureCount(at++);
      const row = await rows.at(at);
      const image = picturesOf(row)[place - before]!;
      return { name: nameOf(row, image), source: await this.#fileOf(row, image) };
    });
  }

  /** Works on each image or video, all at once. The first in order that fails decides the error. */
  async #each<T>(
    row: DatasetRow,
    media: Media | null,
    work: (vision: SampleVision, source: VideoOrFrames, name: string) => Promise<T>,
  ): Promise<T[]> {
    if (media === null || media.entries.length === 0) return [];
    const vision = this.#vision;
    if (vision === null) throw rowError(row, media.key, `this model takes no ${media.kind}s`);
    const results = await Promise.allSettled(
      media.entries.map(async (entry, index) => {
        const source = await this.#sourceOf(row, entry);
        const field = `${media.key}[${index}]`;
        return work(vision, source, nameOf(row, entry)).catch((error: unknown) => {
          throw isDataInvalid(error) ? rowError(row, field, error.message, error) : error;
        });
      }),
    );
    return results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }

  async #sourceOf(row: DatasetRow, entry: VideoReference): Promise<VideoOrFrames> {
    if (!isFrames(entry)) return this.#fileOf(row, entry);
    return Promise.all(entry.map((frame) => this.#fileOf(row, frame)));
  }

  async #fileOf(row: DatasetRow, reference: ImageReference): Promise<ImageSource> {
    return typeof reference === 'string'
      ? imagePath(reference, row.file, this.#imageDir)
      : reference.bytes;
  }
}

/** Name of an image or video in warnings: the row's file and line, and the path, of frames the first. */
function nameOf({ file, line }: DatasetRow, entry: VideoReference): string {
  const reference = isFrames(entry) ? entry[0] : entry;
  const path = typeof reference === 'string' ? reference : 'an embedded picture';
  return `${file}:${line}: ${path}`;
}
