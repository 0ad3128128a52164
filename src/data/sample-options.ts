import { existsSync, readFileSync } from 'node:fs';
import type { ModelConfig } from '../model/qwen2-5-vl/config.ts';
import { mropePositions } from '../model/qwen2-5-vl/position-ids.ts';
import { ChatTemplate } from '../text/chat-template.ts';
import { PromptFormat } from '../text/prompt-format.ts';
import { specialTokens, type SpecialTokens } from '../text/special-tokens.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { VisionProcessor } from '../vision/processor.ts';
import type { BitDepth } from '../vision/sample-depth.ts';
import { LocalPixels, type PixelReader, type PixelSettings } from './pixels.ts';
import type { RowKeys } from './row.ts';
import type { SampleOptions, SampleVision } from './sample.ts';

/** How rows become samples, as plain data. */
export interface SampleSettings extends RowKeys {
  readonly model: ModelConfig;
  /** Directory of the tokenizer, the chat template and the image processor. */
  readonly tokenizerPath: string;
  readonly imageDir: string | null;
  /** Jinja file, or null. */
  readonly formatPrompt: string | null;
  /** Chat template, its text or a file, or null for the checkpoint's own. */
  readonly overrideChatTemplate: string | null;
  readonly minPixels: number | null;
  readonly maxPixels: number | null;
  /** Bits that samples of 16-bit pictures use; `auto`, unless given, is the most that those of the data do. */
  readonly bitDepth?: BitDepth | 'auto';
  /** Frames taken of a second of video. */
  readonly videoFps: number;
  /** Images that a prompt may have; 0 sets no limit. */
  readonly limitImages: number;
  readonly maxPromptLength: number;
  readonly maxResponseLength: number;
}

/** Token that no vocabulary has: a model without vision has no placeholders. */
const NO_TOKEN = -1;

/**
 * Opens what samples are made with.
 *
 * @param reader reads pixels in place of the calling thread
 * @throws CHECKPOINT_INVALID when the directory lacks a file or one does not parse
 */
export function sampleOptions(settings: SampleSettings, reader?: PixelReader): SampleOptions {
  const { model, tokenizerPath, formatPrompt, overrideChatTemplate: override } = settings;
  const imageTokenId = model.tokens?.imagePad ?? NO_TOKEN;
  const videoTokenId = model.tokens?.videoPad ?? NO_TOKEN;
  const pixels = pixelSettings(settings);
  const vision: SampleVision | null = pixels && {
    pixels: new LocalPixels(pixels),
    imageTokenId,
    videoTokenId,
    ...(reader && { reader }),
  };
  return {
    tokenizer: Tokenizer.load(tokenizerPath),
    chatTemplate:
      override === null
        ? ChatTemplate.load(tokenizerPath)
        : templateFrom(override, specialTokens(tokenizerPath)),
    vision,
    positionsOf: (ids, grids, secondsPerGrid) =>
      mropePositions(ids, {
        imageTokenId,
        videoTokenId,
        ...(secondsPerGrid === null
          ? { imageGrids: grids }
          : { imageGrids: [], videoGrids: grids, videoSecondsPerGrid: secondsPerGrid }),
        ...(model.vision && {
          mergeSize: model.vision.mergeSize,
          tokensPerSecond: model.vision.tokensPerSecond,
        }),
      }).positions,
    promptFormat: formatPrompt === null ? null : PromptFormat.load(formatPrompt),
    keys: settings,
    imageDir: settings.imageDir,
    limitImages: settings.limitImages,
    bitDepth: settings.bitDepth ?? 'auto',
    maxPromptLength: settings.maxPromptLength,
    maxResponseLength: settings.maxResponseLength,
  };
}

/**
 * How the pixels of samples are read; null for a model without vision.
 *
 * @throws CHECKPOINT_INVALID when the directory says nothing of it
 */
export function pixelSettings({
  model,
  tokenizerPath,
  minPixels,
  maxPixels,
  videoFps,
}: Pick<
  SampleSettings,
  'model' | 'tokenizerPath' | 'minPixels' | 'maxPixels' | 'videoFps'
>): PixelSettings | null {
  if (model.vision === null) return null;
  return {
    image: VisionProcessor.load(tokenizerPath).settings,
    video: VisionProcessor.load(tokenizerPath, 'video').settings,
    bounds: { minPixels, maxPixels },
    videoFps,
  };
}

function templateFrom(source: string, tokens: SpecialTokens): ChatTemplate {
  return existsSync(source)
    ? new ChatTemplate(readFileSync(source, 'utf8'), tokens, source)
    : new ChatTemplate(source, tokens);
}
