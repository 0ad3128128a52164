/** A prompt with a response to it as a reward model reads them: by its own template, tokenizer and processor. */
import { expandedIds, placesOf, promptWith } from '../../src/data/media-prompt.ts';
import { chatTools, type ChatSettings } from '../../src/data/sample-options.ts';
import { CxmindError } from '../../src/errors.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import type { PromptInput } from '../../src/model/pack.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { ProcessedPixels } from '../../src/vision/processor.ts';
import type { BitDepth } from '../../src/vision/sample-depth.ts';

/** Settings by which pictures of prompts are read. */
export type RewardMedia = Pick<ChatSettings, 'minPixels' | 'maxPixels' | 'window'>;

/** Pictures of a prompt as patches. */
export type Pictures = readonly ProcessedPixels[];

/** Writer of conversations for one model. */
export class ConversationWriter {
  readonly #path: string;
  readonly #tools: ReturnType<typeof chatTools>;

  /** @throws CHECKPOINT_INVALID if the directory lacks a tokenizer, a template or, for pictures, a processor */
  constructor(path: string, config: ModelConfig, media: RewardMedia) {
    this.#path = path;
    const text = { tokenizerPath: path, overrideChatTemplate: null, videoFps: 1 };
    this.#tools = chatTools({ ...media, ...text, model: config });
  }

  /**
   * Reads the pictures of a prompt, paths or bytes of files.
   *
   * @param bitDepth used bits of 16-bit samples; 16 if absent
   * @throws DATA_INVALID for pictures that the model does not take, or one that cannot be read
   */
  async read(images: readonly (string | Uint8Array)[], bitDepth?: BitDepth): Promise<Pictures> {
    const { vision } = this.#tools;
    if (images.length === 0) return [];
    if (vision === null) throw this.#invalid('reads text, and the prompt has pictures');
    return Promise.all(images.map((source) => vision.pixels.image(source, bitDepth)));
  }

  /**
   * The prompt and its response as tokens and patches of the model.
   *
   * @throws DATA_INVALID for a conversation with other pictures, or with videos
   */
  write(
    { messages, response }: Pick<RewardInput, 'messages' | 'response'>,
    pictures: Pictures,
  ): PromptInput {
    const { tokenizer, chatTemplate, vision, positionsOf } = this.#tools;
    const kinds = messages.flatMap(({ content }) =>
      typeof content === 'string' ? [] : content.map(({ type }) => type),
    );
    if (kinds.includes('video')) throw this.#invalid('reads no videos');
    if (vision === null && kinds.includes('image')) {
      throw this.#invalid('reads text, and the prompt has pictures');
    }
    const turns = [...messages, { role: 'assistant' as const, content: response }];
    const ids = tokenizer.encode(chatTemplate.render(turns, { addGenerationPrompt: false }));
    const { tokenCounts } = placesOf(vision, 'image', pictures);
    const places = { kind: 'image', tokenCounts } as const;
    const tokenIds = expandedIds(ids, vision, places, (kind, found, wanted) =>
      this.#invalid(
        kind === 'video' ? 'reads no videos' : `has ${found} place(s) for ${wanted} picture(s)`,
      ),
    );
    return promptWith(tokenIds, 'image', pictures, positionsOf);
  }

  #invalid(reason: string): CxmindError {
    return new CxmindError('DATA_INVALID', `the reward model ${this.#path} ${reason}`);
  }
}
