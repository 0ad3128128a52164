import { CxmindError } from '../errors.ts';
import { decodeImage, imageHeader, type ImageSource, type ReadFile } from '../vision/decode.ts';
import type { DicomWindow, FileImage, PlainImage } from '../vision/decoded-image.ts';
import { probeVideo, readFrames, withVideoFile, type VideoSource } from '../vision/ffmpeg.ts';
import type { Grid } from '../vision/patchify.ts';
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
import {
  inPairs,
  pictureFrameSize,
  sampleFrames,
  secondsPerPair,
  videoFrameSize,
} from '../vision/video-frames.ts';

/** Settings of pixel readers, as plain data. */
export interface PixelSettings {
  readonly image: ProcessorSettings;
  /** Null for a model whose frames stand apart in the text; their times are not written there yet. */
  readonly video: ProcessorSettings | null;
  /** Pixel bounds that images and frames are resized into before the vision processor. */
  readonly bounds: PixelBounds;
  /** Frames taken per second of video. */
  readonly videoFps: number;
  /** Window of grey DICOM pictures; null or absent is each file's own. */
  readonly window?: DicomWindow | null;
}

/** Video file, or the pictures that are its frames. */
export type VideoOrFrames = VideoSource | readonly ImageSource[];

/** Video as the vision tower takes it. */
export interface ProcessedVideo extends ProcessedPixels {
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
  readonly #videos: VisionProcessor | null;
  readonly #png = new PngDecoder();
  readonly #resampler = new Resampler();
  readonly #read: ReadFile | undefined;

  /** @param memory reused memory; a result is then valid until the next call, and calls must not overlap */
  constructor(settings: PixelSettings, memory?: ReusedMemory) {
    this.settings = settings;
    this.#read = memory && ((path) => memory.readFile(path));
    const allocate = memory && ((shape: readonly number[]) => memory.levels(shape));
    this.#image = new VisionProcessor(settings.image, this.#resampler, allocate);
    this.#videos = settings.video && new VisionProcessor(settings.video, this.#resampler, allocate);
  }

  async image(source: ImageSource, bitDepth?: BitDepth): Promise<ProcessedPixels & FromFiles> {
    const { wide, ...image } = await this.#decode(source, bitDepth);
    const bounded = boundImage(image, this.settings.bounds, this.#resampler);
    return { ...this.#image.process(bounded), wide };
  }

  async video(source: VideoOrFrames, bitDepth?: BitDepth): Promise<ProcessedVideo & FromFiles> {
    const processor = this.#video;
    if (isFrames(source)) {
      const { frames, wide } = await this.#pictures(source, bitDepth);
      const secondsPerGrid = secondsPerPair(this.settings.videoFps);
      return { ...processor.processFrames(inPairs(frames)), secondsPerGrid, wide };
    }
    return withVideoFile(source, async (path) => {
      const { info, indices, fps } = await this.#sampled(path);
      const { width, height } = videoFrameSize(info, indices.length, this.settings.bounds);
      const frames: PlainImage[] = [];
      await readFrames(path, info, indices, (frame) => {
        frames.push(this.#resampler.copy(frame, width, height));
      });
      const secondsPerGrid = secondsPerPair(fps);
      return { ...processor.processFrames(frames), secondsPerGrid, wide: null };
    });
  }

  /** Patch grid of an image. Only its header is read. */
  async imageGrid(source: ImageSource): Promise<Grid> {
    const size = await imageHeader(source);
    return this.#image.gridOf(boundedSizes(size, this.settings.bounds).at(-1) ?? size);
  }

  /** Patch grid of a video. No frame is decoded. */
  async videoGrid(source: VideoOrFrames): Promise<Grid> {
    const { bounds } = this.settings;
    if (isFrames(source)) {
      const first = pictureFrameSize(await imageHeader(firstOf(source)), bounds);
      return this.#video.gridOf(first, inPairs(source).length);
    }
    return withVideoFile(source, async (path) => {
      const { info, indices } = await this.#sampled(path);
      return this.#video.gridOf(videoFrameSize(info, indices.length, bounds), indices.length);
    });
  }

  /** Number of tokens of an image or a video with this grid. */
  tokensOf(grid: Grid): number {
    return this.#image.tokensOf(grid);
  }

  /** @throws DATA_INVALID for a model whose videos are not read */
  get #video(): VisionProcessor {
    if (this.#videos !== null) return this.#videos;
    throw new CxmindError(
      'DATA_INVALID',
      'videos are not supported for this model, whose text gives the time of each frame; give its frames as images',
    );
  }

  #decode(source: ImageSource, bitDepth: BitDepth | undefined): Promise<FileImage> {
    const { window } = this.settings;
    return decodeImage(source, { read: this.#read, bitDepth, window, png: this.#png });
  }

  async #sampled(path: string): Promise<ReturnType<typeof sampleFrames> & { info: FrameSource }> {
    const info = await probeVideo(path);
    return { info, ...sampleFrames(info.frames, info.fps, this.settings.videoFps) };
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
      const { width, height } = pictureFrameSize(image, this.settings.bounds);
      const [first] = frames;
      if (first !== undefined && (first.width !== width || first.height !== height)) {
        throw new CxmindError(
          'DATA_INVALID',
          `frame ${frames.length + 1} is resized to ${width}x${height}, the first to ${first.width}x${first.height}`,
        );
      }
      frames.push(this.#resampler.copy(toPlain(image), width, height));
    }
    return { frames, wide: most === 0 ? null : most };
  }
}

type FrameSource = Awaited<ReturnType<typeof probeVideo>>;

function isFrames(source: VideoOrFrames): source is readonly ImageSource[] {
  return Array.isArray(source);
}

function firstOf(sources: readonly ImageSource[]): ImageSource {
  const [first] = sources;
  if (first === undefined) throw new CxmindError('DATA_INVALID', 'a video without frames');
  return first;
}
