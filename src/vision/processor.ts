/** Image and video processors of Qwen2-VL's family, by the `preprocessor_config.json` of a checkpoint. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { decodeJson, readJsonSync } from '../check/json.ts';
import { CxmindError } from '../errors.ts';
import type { Grid, PatchLevels } from '../tensor/patch-levels.ts';
import type { ImageSize, PlainImage } from './decoded-image.ts';
import { Patchifier, type LevelMemory, type PatchLayout } from './patchify.ts';
import { Resampler } from './resample.ts';
import { smartResize } from './resize.ts';

const triple = t.tuple([t.number, t.number, t.number]);
const optionalNumber = t.union([t.number, t.null]);

/** Keys of `preprocessor_config.json` that are read. Newer files keep the pixel bounds under `size`. */
const PreprocessorFile = t.partial({
  min_pixels: optionalNumber,
  max_pixels: optionalNumber,
  size: t.partial({ shortest_edge: optionalNumber, longest_edge: optionalNumber }),
  patch_size: t.number,
  temporal_patch_size: t.number,
  min_frames: t.number,
  max_frames: t.number,
  merge_size: t.number,
  image_mean: triple,
  image_std: triple,
});

/** Keys whose values are fixed here. transformers follows other values, so a file with one is refused. */
const ALWAYS: Readonly<Record<string, readonly unknown[]>> = {
  do_resize: [true],
  do_rescale: [true],
  do_normalize: [true],
  do_convert_rgb: [true],
  do_center_crop: [false],
  do_pad: [false],
  resample: [3], // Pillow's bicubic
  rescale_factor: [1 / 255],
  cap_pixels_per_frame: [false],
  image_processor_type: processorTypes('ImageProcessor', ['Qwen2VL', 'Qwen2_5_VL']),
  video_processor_type: processorTypes('VideoProcessor', ['Qwen2VL', 'Qwen2_5_VL', 'Qwen3VL']),
};

/** Class names of transformers' processors, in all its releases. */
function processorTypes(kind: string, models: readonly string[]): string[] {
  return models.flatMap((model) => ['', 'Fast', 'Pil'].map((form) => `${model}${kind}${form}`));
}

/** Settings of a checkpoint's processor. */
export interface ProcessorSettings extends PatchLayout {
  /** Bounds of the resized area, pixels. */
  readonly minPixels: number;
  readonly maxPixels: number;
  /** Bounds of a video's number of frames, for models whose rules read them here. */
  readonly minFrames: number;
  readonly maxFrames: number;
}

/** Values of absent keys: the defaults of the processor in transformers. */
const DEFAULTS: ProcessorSettings = {
  minPixels: 56 * 56,
  maxPixels: 28 * 28 * 1280,
  minFrames: 4,
  maxFrames: 768,
  patchSize: 14,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

/** Image or video as the vision tower takes it. */
export interface ProcessedPixels {
  /** `[N, C · Pt · P · P]` */
  readonly pixelValues: PatchLevels;
  /** Patches along time, height and width. Their product is N. */
  readonly grid: Grid;
}

/** Medium of a processor. A checkpoint may give videos bounds of their own. */
export type ProcessorKind = 'image' | 'video';

/**
 * Loads the settings of a Hugging Face directory's processor. Videos use those of images if they have none of their own.
 *
 * @throws CHECKPOINT_INVALID naming file and key
 */
export function loadProcessor(directory: string, kind: ProcessorKind = 'image'): ProcessorSettings {
  const names = kind === 'video' ? ['video_preprocessor_config.json'] : [];
  const path = [...names, 'preprocessor_config.json', 'processor_config.json']
    .map((name) => join(directory, name))
    .find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: no preprocessor_config.json, which a model that takes images needs`,
    );
  }
  return settingsOf(readJsonSync(t.unknown, path), path, kind);
}

/** Size that a processor resizes an image to. */
export function processedSize(
  size: ImageSize,
  { patchSize, mergeSize, minPixels, maxPixels }: ProcessorSettings,
): ImageSize {
  return smartResize(size, patchSize * mergeSize, minPixels, maxPixels);
}

/** Image and video processor of Qwen2-VL: resizes images, normalises them and cuts them, or frames, into patches. */
export class VisionProcessor {
  readonly settings: ProcessorSettings;
  readonly #resampler: Resampler;
  readonly #patchifier: Patchifier;

  /** @param allocate allocates levels; each call gets new memory if absent */
  constructor(
    settings: ProcessorSettings = DEFAULTS,
    resampler = new Resampler(),
    allocate?: LevelMemory,
  ) {
    this.settings = settings;
    this.#resampler = resampler;
    this.#patchifier = new Patchifier(settings, allocate);
  }

  /** Patch grid of an image of this size. */
  gridOf(size: ImageSize): Grid {
    return this.frameGrid(processedSize(size, this.settings), this.settings.temporalPatchSize);
  }

  /** Patch grid of frames of this size, as they are. */
  frameGrid({ width, height }: ImageSize, frames: number): Grid {
    const { patchSize, temporalPatchSize } = this.settings;
    return [frames / temporalPatchSize, height / patchSize, width / patchSize];
  }

  /** Number of tokens of an image or video with this grid: its patches after merging. */
  tokensOf([time, height, width]: Grid): number {
    return (time * height * width) / this.settings.mergeSize ** 2;
  }

  /** Pixel values and grid of a still image. */
  process(image: PlainImage): ProcessedPixels {
    const { width, height } = processedSize(image, this.settings);
    const still = this.#resampler.resize(image, width, height);
    const frames = Array<PlainImage>(this.settings.temporalPatchSize).fill(still);
    return this.#patchifier.patchify(frames);
  }

  /**
   * Pixel values and grid of the frames of a video, which are resized already.
   *
   * @param frames frames of one size in whole merged patches; their number is a multiple of temporalPatchSize
   */
  processFrames(frames: readonly PlainImage[]): ProcessedPixels {
    return this.#patchifier.patchify(frames);
  }
}

function settingsOf(json: unknown, path: string, kind: ProcessorKind): ProcessorSettings {
  // A combined processor_config.json keeps each part under a key of its own.
  const Combined = t.partial({
    image_processor: t.UnknownRecord,
    video_processor: t.UnknownRecord,
  });
  const parts = Combined.is(json) ? json : {};
  const part = (kind === 'video' ? parts.video_processor : undefined) ?? parts.image_processor;
  const { size, ...keys } = decodeJson(PreprocessorFile, part ?? json, path);
  refuseOthers(part ?? json, path);
  return {
    minPixels: keys.min_pixels ?? size?.shortest_edge ?? DEFAULTS.minPixels,
    maxPixels: keys.max_pixels ?? size?.longest_edge ?? DEFAULTS.maxPixels,
    minFrames: keys.min_frames ?? DEFAULTS.minFrames,
    maxFrames: keys.max_frames ?? DEFAULTS.maxFrames,
    patchSize: keys.patch_size ?? DEFAULTS.patchSize,
    temporalPatchSize: keys.temporal_patch_size ?? DEFAULTS.temporalPatchSize,
    mergeSize: keys.merge_size ?? DEFAULTS.mergeSize,
    mean: keys.image_mean ?? DEFAULTS.mean,
    std: keys.image_std ?? DEFAULTS.std,
  };
}

/** Checks the keys of `ALWAYS`. @throws CHECKPOINT_INVALID naming every key with another value */
function refuseOthers(json: unknown, path: string): void {
  const file = t.UnknownRecord.is(json) ? json : {};
  const size = t.UnknownRecord.is(file['size']) ? file['size'] : {};
  const issues = [
    ...Object.entries(ALWAYS).flatMap(([key, allowed]) => {
      const value = file[key] ?? allowed[0];
      if (allowed.includes(value)) return [];
      return [
        `${path}: ${key} ${JSON.stringify(value)} is not supported, only ${allowed.join(', ')}`,
      ];
    }),
    ...Object.keys(size)
      .filter((key) => !['shortest_edge', 'longest_edge'].includes(key) && size[key] !== null)
      .map((key) => `${path}: size.${key} is not supported, only shortest_edge and longest_edge`),
  ];
  if (issues.length > 0) {
    throw new CxmindError('CHECKPOINT_INVALID', issues.join('\n'), { detail: { path, issues } });
  }
}
