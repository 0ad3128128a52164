/** Readers of image and video files into the patches that a model's vision tower takes. */
import { CxmindError } from '../errors.ts';
import type { Architecture } from '../model/architecture.ts';
import { decodeImage, imageHeader, type ImageSource, type ReadFile } from '../vision/decode.ts';
import type { DicomWindow, FileImage, ImageSize, PlainImage } from '../vision/decoded-image.ts';
import {
  probeVideo,
  readFrames,
  withVideoFile,
  type VideoInfo,
  type VideoSource,
} from '../vision/ffmpeg.ts';
import type { Grid } from '../tensor/patch-levels.ts';
import {
  VisionProcessor,
  type ProcessedPixels,
  type ProcessorSettings,
} from '../vision/processor.ts';
import type { ReusedMemory } from '../vision/reused-memory.ts';
import { toPlain } from '../vision/modes.ts';
import { PngDecoder } from '../vision/png.ts';
import { Resampler } from '../vision/resample.ts';
import type { BitDepth, WideSamples } from '../vision/sample-depth.ts';
import { boundedSizes, boundImage, type PixelBounds } from '../vision/resize.ts';
import { timedFrames } from '../vision/timed-frames.ts';
import { joinedFrames } from '../vision/video-frames.ts';
import {
  inPairs,
  pairTimes,
  secondsPerPair,
  type SampledFrames,
  type VideoRules,
} from '../vision/video-rules.ts';

/** Settings of pixel readers, as plain data. */
export interface PixelSettings {
  readonly image: ProcessorSettings;
  readonly video: ProcessorSettings;
  /** Places of a video's frames in the text of the model. */
  readonly frames: Architecture['frames'];
  /** Pixel bounds that images and frames are resized into before the vision processor. */
  readonly bounds: PixelBounds;
  /** Frames taken per second of video. */
  readonly videoFps: number;
  /** Window of grey DICOM pictures; null or absent is each file's own. */
  readonly window?: DicomWindow | null;
}

/** Video file, or the pictures that are its frames. */
export type VideoOrFrames = VideoSource | readonly ImageSource[];

/** Patch grid of a video, and the times of its rows along time. */
export interface TimedGrid {
  readonly grid: Grid;
  /** Seconds from the beginning of the video, one for each grid row along time. */
  readonly times: readonly number[];
}

/** Video as the vision tower takes it. */
export interface ProcessedVideo extends ProcessedPixels, TimedGrid {
  /** Seconds from one grid row along time to the next. */
  readonly secondsPerGrid: number;
}

/** Sample depth of the files that patches were made of. */
export interface FromFiles {
  /** Most used bits of any sample; null if all files have at most 8 bits a sample. */
  readonly wide: WideSamples | null;
}

/** Reader of images and videos into patches. `bitDepth` is the number of used bits of a 16-bit sample, by default 16. */
export interface PixelReader {
  /** @throws DATA_INVALID naming a file that is missing, broken or no image */
  image(source: ImageSource, bitDepth?: BitDepth): Promise<ProcessedPixels & FromFiles>;
  /** @throws DATA_INVALID as `image` does, DEVICE_MISSING for a video file if ffmpeg is not installed */
  video(source: VideoOrFrames, bitDepth?: BitDepth): Promise<ProcessedVideo & FromFiles>;
}

/** Reader on the calling thread. */
export class LocalPixels implements PixelReader {
  readonly settings: PixelSettings;
  readonly #image: VisionProcessor;
  readonly #video: VisionProcessor;
  readonly #rules: VideoRules;
  readonly #png = new PngDecoder();
  readonly #resampler = new Resampler();
  readonly #read: ReadFile | undefined;

  /** @param memory reused memory; a result is then valid until the next call, and calls must not overlap */
  constructor(settings: PixelSettings, memory?: ReusedMemory) {
    this.settings = settings;
    this.#read = memory && ((path) => memory.readFile(path));
    const allocate = memory && ((shape: readonly number[]) => memory.levels(shape));
    this.#image = new VisionProcessor(settings.image, this.#resampler, allocate);
    this.#video = new VisionProcessor(settings.video, this.#resampler, allocate);
    this.#rules = rulesOf[settings.frames](settings.video, settings.bounds);
  }

  async image(source: ImageSource, bitDepth?: BitDepth): Promise<ProcessedPixels & FromFiles> {
    const { wide, ...image } = await this.#decode(source, bitDepth);
    const bounded = boundImage(image, this.settings.bounds, this.#resampler);
    return { ...this.#image.process(bounded), wide };
  }

  /** @param signal ends the reading of a file */
  async video(
    source: VideoOrFrames,
    bitDepth?: BitDepth,
    signal?: AbortSignal,
  ): Promise<ProcessedVideo & FromFiles> {
    if (isFrames(source)) {
      const { frames, wide } = await this.#pictures(source, bitDepth);
      const secondsPerGrid = secondsPerPair(this.settings.videoFps);
      const times = this.#pictureTimes(source);
      return { ...this.#video.processFrames(inPairs(frames)), secondsPerGrid, times, wide };
    }
    return withVideoFile(source, async (path) => {
      const { info, indices, sizes, times, fps } = await this.#sampled(path, signal);
      const frames: PlainImage[] = [];
      const take = (frame: PlainImage): void => void frames.push(this.#resized(frame, sizes));
      await readFrames(path, info, indices, take, signal);
      const secondsPerGrid = secondsPerPair(fps);
      return { ...this.#video.processFrames(inPairs(frames)), secondsPerGrid, times, wide: null };
    });
  }

  /** Patch grid of an image. Only its header is read. */
  async imageGrid(source: ImageSource): Promise<Grid> {
    const size = await imageHeader(source);
    return this.#image.gridOf(boundedSizes(size, this.settings.bounds).at(-1) ?? size);
  }

  /** Patch grid of a video, and the times of its rows. No frame is decoded. */
  async videoGrid(source: VideoOrFrames, signal?: AbortSignal): Promise<TimedGrid> {
    if (isFrames(source)) {
      const sizes = this.#rules.pictureSizes(await imageHeader(firstOf(source)), source.length);
      const times = this.#pictureTimes(source);
      return { grid: this.#video.frameGrid(sizes.at(-1)!, inPairs(source).length), times };
    }
    return withVideoFile(source, async (path) => {
      const { indices, sizes, times } = await this.#sampled(path, signal);
      return { grid: this.#video.frameGrid(sizes.at(-1)!, inPairs(indices).length), times };
    });
  }

  /** Number of tokens of an image or a video with this grid. */
  tokensOf(grid: Grid): number {
    return this.#image.tokensOf(grid);
  }

  #decode(source: ImageSource, bitDepth: BitDepth | undefined): Promise<FileImage> {
    const { window } = this.settings;
    return decodeImage(source, { read: this.#read, bitDepth, window, png: this.#png });
  }

  async #sampled(path: string, signal?: AbortSignal): Promise<SampledFile> {
    const info = await probeVideo(path, signal);
    const { indices, fps } = this.#rules.sample(info.frames, info.fps, this.settings.videoFps);
    const sizes = this.#rules.fileSizes(info, indices.length);
    return { info, indices, fps, sizes, times: pairTimes(indices, info.fps) };
  }

  /** Times of pictures that are frames, `videoFps` of them a second. */
  #pictureTimes(sources: readonly ImageSource[]): readonly number[] {
    return pairTimes([...sources.keys()], this.settings.videoFps);
  }

  /** Frame resized to the given sizes one after the other, in memory of its own. */
  #resized(frame: PlainImage, sizes: readonly ImageSize[]): PlainImage {
    return sizes.reduce<PlainImage>(
      (current, { width, height }) => this.#resampler.copy(current, width, height),
      frame,
    );
  }

  /** Decodes and resizes the pictures that are a video's frames; all must get the size of the first. */
  async #pictures(
    sources: readonly ImageSource[],
    bitDepth: BitDepth | undefined,
  ): Promise<{ frames: readonly PlainImage[] } & FromFiles> {
    firstOf(sources);
    const frames: PlainImage[] = [];
    let most: WideSamples | 0 = 0;
    for (const source of sources) {
      const { wide, ...image } = await this.#decode(source, bitDepth);
      if (wide !== null && wide > most) most = wide;
      const sizes = this.#rules.pictureSizes(image, sources.length);
      const { width, height } = sizes.at(-1)!;
      const [first] = frames;
      if (first !== undefined && (first.width !== width || first.height !== height)) {
        throw new CxmindError(
          'DATA_INVALID',
          `frame ${frames.length + 1} is resized to ${width}x${height}, the first to ${first.width}x${first.height}`,
        );
      }
      frames.push(this.#resized(toPlain(image), sizes));
    }
    return { frames, wide: most === 0 ? null : most };
  }
}

/** Sampled frames of a video file, and the sizes that they are resized to. */
interface SampledFile extends SampledFrames {
  readonly info: VideoInfo;
  readonly sizes: readonly ImageSize[];
  readonly times: readonly number[];
}

/** Rules of videos by the places of their frames in the text. */
const rulesOf = { joined: joinedFrames, apart: timedFrames };

function isFrames(source: VideoOrFrames): source is readonly ImageSource[] {
  return Array.isArray(source);
}

function firstOf(sources: readonly ImageSource[]): ImageSource {
  const [first] = sources;
  if (first === undefined) throw new CxmindError('DATA_INVALID', 'a video without frames');
  return first;
}
