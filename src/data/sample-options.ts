import { existsSync, readFileSync } from 'node:fs';
import type { ModelConfig } from '../model/qwen2-5-vl/config.ts';
import { mropePositions } from '../model/qwen2-5-vl/position-ids.ts';
import { ChatTemplate } from '../text/chat-template.ts';
import { PromptFormat } from '../text/prompt-format.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { ImageProcessor } from '../vision/processor.ts';
import type { RowKeys } from './row.ts';
import type { SampleOptions } from './sample.ts';

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
  readonly maxPromptLength: number;
  readonly maxResponseLength: number;
}

/** Token that no vocabulary has: a model without vision has no placeholders. */
const NO_TOKEN = -1;

/**
 * Opens what samples are made with.
 *
 * @throws CHECKPOINT_INVALID when the directory lacks a file or one does not parse
 */
export function sampleOptions(settings: SampleSettings): SampleOptions {
  const { model, tokenizerPath, formatPrompt, overrideChatTemplate: override } = settings;
  const { vision, tokens } = model;
  const imageTokenId = tokens?.imagePad ?? NO_TOKEN;
  return {
    tokenizer: Tokenizer.load(tokenizerPath),
    chatTemplate: override === null ? ChatTemplate.load(tokenizerPath) : templateFrom(override),
    vision:
      vision === null ? null : { processor: ImageProcessor.load(tokenizerPath), imageTokenId },
    positionsOf: (ids, imageGrids) =>
      mropePositions(ids, {
        imageTokenId,
        imageGrids,
        ...(vision && { mergeSize: vision.mergeSize, tokensPerSecond: vision.tokensPerSecond }),
      }).positions,
    promptFormat: formatPrompt === null ? null : PromptFormat.load(formatPrompt),
    keys: settings,
    pixelBounds: { minPixels: settings.minPixels, maxPixels: settings.maxPixels },
    imageDir: settings.imageDir,
    maxPromptLength: settings.maxPromptLength,
    maxResponseLength: settings.maxResponseLength,
  };
}

function templateFrom(source: string): ChatTemplate {
  return existsSync(source)
    ? new ChatTemplate(readFileSync(source, 'utf8'), source)
    : new ChatTemplate(source);
}
