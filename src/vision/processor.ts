import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { formatIssue, issuesOf } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { RgbImage } from './decode.ts';
import { patchify, type Grid, type PatchLayout } from './patchify.ts';
import { resample } from './resample.ts';
import { smartResize, type ImageSize } from './resize.ts';

const triple = t.tuple([t.number, t.number, t.number]);
const optionalNumber = t.union([t.number, t.null]);

/** `preprocessor_config.json` as far as it is read; `size` is the newer home of the pixel bounds. */
const PreprocessorFile = t.partial({
  min_pixels: optionalNumber,
  max_pixels: optionalNumber,
  size: t.partial({ shortest_edge: optionalNumber, longest_edge: optionalNumber }),
  patch_size: t.number,
  temporal_patch_size: t.number,
  merge_size: t.number,
  image_mean: triple,
  image_std: triple,
});

/** What a checkpoint asks of its images. */
export interface ProcessorSettings extends PatchLayout {
  /** Bounds of the resized area, pixels. */
  readonly minPixels: number;
  readonly maxPixels: number;
}

/** What an absent key means: the processor's own defaults in transformers. */
const DEFAULTS: ProcessorSettings = {
  minPixels: 56 * 56,
  maxPixels: 28 * 28 * 1280,
  patchSize: 14,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

/** An image as the vision tower takes it. */
export interface ProcessedImage {
  /** f32 `[N, C · Pt · P · P]`, normalised. */
  readonly pixelValues: Tensor<'f32'>;
  /** Patches along time, height and width; their product is N. */
  readonly grid: Grid;
}

/** Resizes, normalises and cuts images as the checkpoint's own processor does (Qwen2-VL's). */
export class ImageProcessor {
  readonly settings: ProcessorSettings;

  constructor(settings: ProcessorSettings = DEFAULTS) {
    this.settings = settings;
  }

  /**
   * The processor of a Hugging Face directory.
   *
   * @throws CHECKPOINT_INVALID naming file and key
   */
  static load(directory: string): ImageProcessor {
    const path = [
      join(directory, 'preprocessor_config.json'),
      join(directory, 'processor_config.json'),
    ].find((candidate) => existsSync(candidate));
    if (path === undefined) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `${directory}: no preprocessor_config.json, which a model that takes images needs`,
      );
    }
    return new ImageProcessor(settingsOf(readJson(path), path));
  }

  /** The patch grid of an image of this size. */
  gridOf(size: ImageSize): Grid {
    const { width, height } = this.#resizedSize(size);
    return [1, height / this.settings.patchSize, width / this.settings.patchSize];
  }

  /** How many tokens an image of this grid takes: patches after merging. */
  tokensOf([time, height, width]: Grid): number {
    return (time * height * width) / this.settings.mergeSize ** 2;
  }

  /** Pixel values and grid of a decoded image. */
  process(image: RgbImage): ProcessedImage {
    const { width, height } = this.#resizedSize(image);
    return patchify(resample(image, width, height), this.settings);
  }

  #resizedSize(size: ImageSize): ImageSize {
    const { patchSize, mergeSize, minPixels, maxPixels } = this.settings;
    return smartResize(size, patchSize * mergeSize, minPixels, maxPixels);
  }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CxmindError('CHECKPOINT_INVALID', `${path}: ${reason}`, { cause });
  }
}

function settingsOf(json: unknown, path: string): ProcessorSettings {
  // A combined processor_config.json keeps the image part under a key of its own.
  const combined = t.type({ image_processor: t.UnknownRecord });
  const file = PreprocessorFile.decode(combined.is(json) ? json.image_processor : json);
  if (isLeft(file)) {
    const issues = issuesOf(PreprocessorFile, file.left, () => path);
    throw new CxmindError('CHECKPOINT_INVALID', issues.map(formatIssue).join('\n'), {
      detail: { path },
    });
  }
  const { size, ...keys } = file.right;
  return {
    minPixels: keys.min_pixels ?? size?.shortest_edge ?? DEFAULTS.minPixels,
    maxPixels: keys.max_pixels ?? size?.longest_edge ?? DEFAULTS.maxPixels,
    patchSize: keys.patch_size ?? DEFAULTS.patchSize,
    temporalPatchSize: keys.temporal_patch_size ?? DEFAULTS.temporalPatchSize,
    mergeSize: keys.merge_size ?? DEFAULTS.mergeSize,
    mean: keys.image_mean ?? DEFAULTS.mean,
    std: keys.image_std ?? DEFAULTS.std,
  };
}
