/** Chat templates: a conversation as the text that a model was trained on. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { readJsonSync } from '../check/json.ts';
import type { conversationVariables } from '../check/template-variables.ts';
import { asCxmindError, CxmindError } from '../errors.ts';
import { readWholeSync } from '../files.ts';
import { JinjaTemplate } from './jinja.ts';
import { specialTokens, type SpecialTokens } from './special-tokens.ts';

/** Part of a user message. */
export type ContentPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image' | 'video' };

/** Turn of a conversation. `tool` is the result of a call that the assistant made. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string | readonly ContentPart[];
}

/** A function that the assistant may call, in the form that chat templates show: its arguments by JSON Schema. */
export const Tool = t.type({
  type: t.literal('function'),
  function: t.intersection([
    t.type({ name: t.string }),
    t.partial({ description: t.string, parameters: t.UnknownRecord }),
  ]),
});
export interface Tool extends t.TypeOf<typeof Tool> {}

/** Options of rendering. */
export interface ChatOptions {
  /** Functions that the assistant may call; none if absent. */
  readonly tools?: readonly Tool[];
  /** Opens the assistant's turn at the end; true if absent. */
  readonly addGenerationPrompt?: boolean;
  /** Ends a rendering that takes too long, at the cost of a thread for each; true if absent. */
  readonly hasTimeLimit?: boolean;
}

const NamedTemplates = t.array(t.type({ name: t.string, template: t.string }));
const TemplateFile = t.type({ chat_template: t.union([t.string, NamedTemplates]) });

/** Renders conversations by the chat template of a checkpoint. */
export class ChatTemplate {
  readonly #template: JinjaTemplate;
  readonly #variables: Readonly<Record<string, unknown>>;

  /**
   * @param source    the template's text, or the template
   * @param variables its variables besides those of a conversation
   * @throws CHECKPOINT_INVALID if the source does not parse
   */
  constructor(
    source: string | JinjaTemplate,
    variables: Readonly<Record<string, unknown>> = {},
    origin = 'chat template',
  ) {
    this.#template =
      typeof source === 'string'
        ? new JinjaTemplate(source, { origin, code: 'CHECKPOINT_INVALID', trimBlocks: true })
        : source;
    this.#variables = variables;
  }

  /**
   * Loads the template of a file.
   *
   * @throws CHECKPOINT_INVALID if it cannot be read or does not parse
   */
  static fromFile(path: string, tokens: SpecialTokens): ChatTemplate {
    let source: string;
    try {
      source = readWholeSync(path).toString();
    } catch (cause) {
      const { message } = asCxmindError(cause);
      throw new CxmindError('CHECKPOINT_INVALID', `${path}: ${message}`, { cause });
    }
    return new ChatTemplate(source, tokens, path);
  }

  /**
   * Loads the template of a Hugging Face directory: `chat_template.jinja`, else `chat_template.json`, else the one in
   * `tokenizer_config.json`.
   *
   * @throws CHECKPOINT_INVALID if there is none, or it does not parse
   */
  static load(directory: string): ChatTemplate {
    const tokens = specialTokens(directory);
    const plain = join(directory, 'chat_template.jinja');
    if (existsSync(plain)) return ChatTemplate.fromFile(plain, tokens);
    for (const file of ['chat_template.json', 'tokenizer_config.json']) {
      const path = join(directory, file);
      const source = existsSync(path) ? templateIn(path) : undefined;
      if (source !== undefined) return new ChatTemplate(source, tokens, path);
    }
    throw new CxmindError(
      'CHECKPOINT_INVALID',
      `${directory}: no chat template in chat_template.jinja, chat_template.json or tokenizer_config.json`,
    );
  }

  /** This template with further variables, such as `enable_thinking` of Qwen3's. */
  with(variables: Readonly<Record<string, unknown>>): ChatTemplate {
    return new ChatTemplate(this.#template, { ...this.#variables, ...variables });
  }

  /**
   * Renders a conversation. An image or video is one placeholder between its start and end tokens.
   *
   * @throws CHECKPOINT_INVALID if the template raises an error, for instance for a role that it refuses, or does not end
   */
  render(
    messages: readonly ChatMessage[],
    { addGenerationPrompt = true, hasTimeLimit = true, tools = [] }: ChatOptions = {},
  ): string {
    const variables = {
      ...this.#variables,
      messages,
      tools: tools.length === 0 ? null : tools,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
    } satisfies Record<(typeof conversationVariables)[number], unknown>;
    return this.#template.render(variables, { hasTimeLimit });
  }
}

function templateIn(path: string): string | undefined {
  const json = readJsonSync(t.UnknownRecord, path);
  if (!TemplateFile.is(json)) return undefined;
  const { chat_template: template } = json;
  if (typeof template === 'string') return template;
  return template.find(({ name }) => name === 'default')?.template;
}
