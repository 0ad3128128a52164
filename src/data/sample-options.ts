/** Tokenizer, chat template and pixel readers of a checkpoint, by which rows and messages become samples. */
import { existsSync } from 'node:fs';
import { snakeCase } from '../check/codec.ts';
import { CxmindError } from '../errors.ts';
import { architectureOf } from '../model/families.ts';
import { promptPositions } from '../model/position-ids.ts';
import type { ModelConfig, VisionConfig } from '../model/model-config.ts';
import { ChatTemplate } from '../text/chat-template.ts';
import { PromptFormat } from '../text/prompt-format.ts';
import { specialTokens, type SpecialTokens } from '../text/special-tokens.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import type { DicomWindow } from '../vision/decoded-image.ts';
import { loadProcessor, type ProcessorKind, type ProcessorSettings } from '../vision/processor.ts';
import { LocalPixels, type PixelReader, type PixelSettings } from './pixel-reader.ts';
import type { RowKeys } from './row.ts';
import type { SampleVision } from './sample-media.ts';
import type { SampleOptions } from './sample.ts';

/** Settings by which pictures and videos become patches. */
interface MediaSettings {
  readonly model: ModelConfig;
  /** Directory of the tokenizer, the chat template and the processors of images and videos. */
  readonly tokenizerPath: string;
  readonly minPixels: number | null;
  readonly maxPixels: number | null;
  /** Frames taken per second of video. */
  readonly videoFps: number;
  /** Window of grey DICOM pictures; null or absent is each file's own. */
  readonly window?: DicomWindow | null;
}

/** Settings by which any message becomes tokens and patches. */
export interface ChatSettings extends MediaSettings {
  /** Chat template as text or as a file's path, or null for the checkpoint's own. */
  readonly overrideChatTemplate: string | null;
  /** Further variables of the chat template; none unless given. */
  readonly applyChatTemplateKwargs?: Readonly<Record<string, unknown>>;
}

/** Settings by which rows become samples, as plain data. */
export interface SampleSettings
  extends
    ChatSettings,
    RowKeys,
    Pick<SampleOptions, 'imageDir' | 'bitDepth' | 'limitImages'>,
    Pick<SampleOptions, 'maxPromptLength' | 'maxResponseLength'> {
  /** Jinja file of the prompt's format, or null. */
  readonly formatPrompt: string | null;
}

/**
 * Loads the tokenizer, the chat template and the processors that samples are made with.
 *
 * @param reader reads pixels in place of the calling thread
 * @throws CHECKPOINT_INVALID if the directory lacks a file or one does not parse
 */
export function sampleOptions(settings: SampleSettings, reader?: PixelReader): SampleOptions {
  const { formatPrompt, imageDir, limitImages, bitDepth = 'auto' } = settings;
  const { maxPromptLength, maxResponseLength } = settings;
  return {
    ...chatTools(settings, reader),
    promptFormat: formatPrompt === null ? null : PromptFormat.load(formatPrompt),
    keys: settings,
    ...{ imageDir, limitImages, bitDepth, maxPromptLength, maxResponseLength },
  };
}

/**
 * Loads what makes tokens, patches and positions of any message: the tokenizer, the chat template, the pixel readers.
 *
 * @throws as `sampleOptions`
 */
export function chatTools(
  settings: ChatSettings,
  reader?: PixelReader,
): Pick<SampleOptions, 'tokenizer' | 'chatTemplate' | 'vision' | 'positionsOf'> {
  const { model, tokenizerPath, overrideChatTemplate: override } = settings;
  const template =
    override === null
      ? ChatTemplate.load(tokenizerPath)
      : templateFrom(override, specialTokens(tokenizerPath));
  const pixels = pixelSettings(settings);
  const vision: SampleVision | null = pixels &&
    model.tokens && {
      pixels: new LocalPixels(pixels),
      imageTokenId: model.tokens.imagePad,
      videoTokenId: model.tokens.videoPad,
      ...(reader && { reader }),
    };
  return {
    tokenizer: Tokenizer.load(tokenizerPath),
    chatTemplate: template.with(settings.applyChatTemplateKwargs ?? {}),
    vision,
    positionsOf: (ids, grids, secondsPerGrid) =>
      promptPositions(model, ids, { grids, secondsPerGrid }),
  };
}

/**
 * Settings of the pixel readers of a model; null for a model without vision.
 *
 * @throws CHECKPOINT_INVALID if the directory has no processor, or its patches differ from the model's
 */
export function pixelSettings({
  model,
  tokenizerPath,
  minPixels,
  maxPixels,
  videoFps,
  window = null,
}: MediaSettings): PixelSettings | null {
  const { vision } = model;
  if (vision === null) return null;
  const settingsOf = (kind: ProcessorKind): ProcessorSettings => {
    const settings = loadProcessor(tokenizerPath, kind);
    checkPatches(settings, vision, `${tokenizerPath}: the processor of ${kind}s`);
    return settings;
  };
  return {
    image: settingsOf('image'),
    video: settingsOf('video'),
    frames: architectureOf(model).frames,
    bounds: { minPixels, maxPixels },
    videoFps,
    window,
  };
}

/** @throws CHECKPOINT_INVALID naming the size in which a processor's patches differ from the model's */
function checkPatches(processor: ProcessorSettings, model: VisionConfig, what: string): void {
  for (const size of ['patchSize', 'temporalPatchSize', 'mergeSize'] as const) {
    if (processor[size] === model[size]) continue;
    const name = snakeCase(size);
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${what} has ${name} ${processor[size]}, but the model's config.json says ${model[size]}`,
      { detail: { name } },
    );
  }
}

function templateFrom(source: string, tokens: SpecialTokens): ChatTemplate {
  return existsSync(source)
    ? ChatTemplate.fromFile(source, tokens)
    : new ChatTemplate(source, tokens);
}
