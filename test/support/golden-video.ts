/** Prompts with videos that transformers processed, and checks of samples and policies against its numbers. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_KEYS } from '../../src/data/row.ts';
import { sampleOptions } from '../../src/data/sample-options.ts';
import { SampleBuilder, type PromptSample } from '../../src/data/sample.ts';
import { packSequences } from '../../src/model/pack.ts';
import type { Policy } from '../../src/model/policy.ts';
import { patchValues, type Grid } from '../../src/tensor/patch-levels.ts';
import { assertClose } from './assert-close.ts';
import { tokens, type GoldenModel } from './golden-model.ts';
import { goldenPath } from './golden.ts';
import type { TemporaryDirectory } from './temporary-directory.ts';

/** A prompt with videos as transformers processes it, and the numbers that a model gives it there. */
export interface GoldenVideos {
  readonly prompt_ids: readonly number[];
  readonly response_ids: readonly number[];
  readonly positions: readonly (readonly number[])[];
  readonly logprobs: readonly number[];
  readonly pixels: {
    readonly shape: readonly number[];
    readonly sum: number;
    readonly sum_sq: number;
    readonly at: readonly number[];
    readonly values: readonly number[];
  };
}

/** `size` in the file of a video processor. */
export interface Size {
  readonly shortest_edge: number;
  readonly longest_edge: number;
}

/** The file of Qwen3-VL's video processor with this size. */
export function timedProcessorFile(size: Size, patchSize: number): string {
  const half = [0.5, 0.5, 0.5];
  const type = { video_processor_type: 'Qwen3VLVideoProcessor', patch_size: patchSize };
  return JSON.stringify({ ...type, size, image_mean: half, image_std: half });
}

/** Writes the tokenizer and the processors of the golden Qwen3-VL. */
export function writeTimedProcessor(directory: TemporaryDirectory, size: Size): void {
  for (const name of ['chat_template.json', 'tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(goldenPath(`micro-vl/${name}`), join(directory.path, name));
  }
  directory.write('preprocessor_config.json', '{}');
  directory.write('video_preprocessor_config.json', timedProcessorFile(size, 14));
}

/** The frames of a golden video, two a second, as a file without loss; null where ffmpeg is missing. */
export function frameFile(directory: TemporaryDirectory, name: string): string | null {
  const path = join(directory.path, `${name}.mkv`);
  const frames = ['-framerate', '2', '-i', join(goldenPath('video/frames'), `${name}-%d.png`)];
  const format = ['-c:v', 'ffv1', '-pix_fmt', 'gbrp', path];
  const made = spawnSync('ffmpeg', ['-v', 'error', ...frames, ...format], { encoding: 'utf8' });
  if (made.error !== undefined) return null;
  assert.equal(made.status, 0, made.stderr);
  return path;
}

/** A sample of a prompt with videos, whose frames are files of `test/golden/video`. */
export function videoSample(
  model: GoldenModel,
  tokenizerPath: string,
  prompt: string,
  { videos, fps }: { readonly videos: readonly (readonly string[])[]; readonly fps: number },
): Promise<PromptSample> {
  const builder = new SampleBuilder(
    sampleOptions({
      ...DEFAULT_KEYS,
      model: model.config,
      tokenizerPath,
      imageDir: goldenPath('video'),
      formatPrompt: null,
      overrideChatTemplate: null,
      minPixels: null,
      maxPixels: null,
      videoFps: fps,
      limitImages: 0,
      maxPromptLength: 200,
      maxResponseLength: 40,
    }),
  );
  const place = { file: 'cases.json', name: 'cases.json', line: 1 };
  return builder.build({
    ...place,
    prompt,
    answer: '',
    images: null,
    videos,
    history: [],
    fields: {},
  });
}

/** A prompt as a policy takes it. */
type ProcessedPrompt = Pick<PromptSample, 'tokenIds' | 'positions' | 'grids' | 'pixelValues'>;

/** Checks that a prompt has the tokens, the grids, the positions and the pixels of transformers. */
export function assertGoldenVideos(
  sample: ProcessedPrompt,
  grids: readonly Grid[],
  { prompt_ids: promptIds, positions, pixels }: GoldenVideos,
): void {
  assert.deepEqual([...sample.tokenIds], promptIds);
  assert.deepEqual(sample.grids, grids);
  assert.deepEqual(
    [...sample.positions.data],
    positions.flatMap((row) => row.slice(0, promptIds.length)),
  );
  const { shape, data } = patchValues([sample.pixelValues!])!;
  assert.deepEqual(shape, pixels.shape);
  assertClose(
    Float32Array.from(pixels.at, (i) => data[i]!),
    pixels.values,
    { atol: 1e-6 },
  );
  const sums = data.reduce(([sum, square], x) => [sum! + x, square! + x * x] as const, [
    0, 0,
  ] as readonly number[]);
  assertClose(sums, [pixels.sum, pixels.sum_sq], { rtol: 1e-6 });
}

/** Checks that a policy gives a response the log-probabilities of transformers. */
export async function assertGoldenLogProbs(
  policy: Policy,
  sample: PromptSample,
  { response_ids: responseIds, logprobs }: GoldenVideos,
): Promise<void> {
  const prompt = { ...sample, tokenIds: tokens([...sample.tokenIds]) };
  const sequence = { prompt, response: tokens([...responseIds]) };
  assertClose(await policy.logProbs(packSequences([sequence]), 1), logprobs, { atol: 1e-4 });
}
