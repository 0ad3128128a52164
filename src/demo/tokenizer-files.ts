/**
 * Tokenizer of a demo's checkpoint as Qwen2.5's files have it: its BPE, then Qwen2.5's added tokens and chat template.
 */
import { pretokenPattern, type Bpe } from './bpe.ts';

/** Qwen2.5's control tokens, in its order. */
const controlTokens = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|object_ref_start|>',
  '<|object_ref_end|>',
  '<|box_start|>',
  '<|box_end|>',
  '<|quad_start|>',
  '<|quad_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|vision_pad|>',
  '<|image_pad|>',
  '<|video_pad|>',
] as const;

/** Qwen2.5's added tokens that are ordinary text. */
const wordTokens = [
  '<tool_call>',
  '</tool_call>',
  '<|fim_prefix|>',
  '<|fim_middle|>',
  '<|fim_suffix|>',
  '<|fim_pad|>',
  '<|repo_name|>',
  '<|file_sep|>',
] as const;

const addedTokens = [...controlTokens, ...wordTokens];

/** Ids of Qwen2.5's control tokens after a BPE of some size. */
export type ControlIds = Readonly<Record<(typeof controlTokens)[number], number>>;

/** Chat template of Qwen2.5-VL, with images and videos. */
export const chatTemplate = [
  '{% set seen = namespace(images=0, videos=0) %}',
  '{% for message in messages %}',
  "{% if loop.first and message['role'] != 'system' %}",
  '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n',
  '{% endif %}',
  "<|im_start|>{{ message['role'] }}\n",
  "{% if message['content'] is string %}{{ message['content'] }}",
  "{% else %}{% for part in message['content'] %}",
  "{% if part['type'] == 'image' or 'image' in part or 'image_url' in part %}",
  '{% set seen.images = seen.images + 1 %}',
  '{% if add_vision_id %}Picture {{ seen.images }}: {% endif %}',
  '<|vision_start|><|image_pad|><|vision_end|>',
  "{% elif part['type'] == 'video' or 'video' in part %}",
  '{% set seen.videos = seen.videos + 1 %}',
  '{% if add_vision_id %}Video {{ seen.videos }}: {% endif %}',
  '<|vision_start|><|video_pad|><|vision_end|>',
  "{% elif 'text' in part %}{{ part['text'] }}{% endif %}",
  '{% endfor %}{% endif %}<|im_end|>\n',
  '{% endfor %}',
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}',
].join('');

/** Number of ids of a tokenizer: the tokens of its BPE, then Qwen2.5's added ones. */
export function tokenizerSize(bpe: Bpe): number {
  return bpe.tokens.length + addedTokens.length;
}

/** Ids of the control tokens, which follow those of the BPE. */
export function controlIds(bpe: Bpe): ControlIds {
  const entries = controlTokens.map((token, i) => [token, bpe.tokens.length + i] as const);
  return Object.fromEntries(entries) as Record<(typeof controlTokens)[number], number>;
}

function tokenizerJson(bpe: Bpe): unknown {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens.map((content, i) => ({
      id: bpe.tokens.length + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: i < controlTokens.length,
    })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: pretokenPattern },
          behavior: 'Isolated',
          invert: false,
        },
        { ...byteLevel, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { ...byteLevel, add_prefix_space: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabulary(bpe),
      merges: bpe.merges,
    },
  };
}

function tokenizerConfig(bpe: Bpe): unknown {
  const decoder = addedTokens.map((content, i) => [
    String(bpe.tokens.length + i),
    {
      content,
      lstrip: false,
      normalized: false,
      rstrip: false,
      single_word: false,
      special: i < controlTokens.length,
    },
  ]);
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(decoder) as unknown,
    additional_special_tokens: controlTokens.slice(1),
    bos_token: null,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    eos_token: '<|im_end|>',
    errors: 'replace',
    model_max_length: 8192,
    pad_token: '<|endoftext|>',
    split_special_tokens: false,
    tokenizer_class: 'Qwen2Tokenizer',
    unk_token: null,
  };
}

function vocabulary(bpe: Bpe): Record<string, number> {
  return Object.fromEntries(bpe.tokens.map((token, id) => [token, id]));
}

/** Files of a tokenizer in a Hugging Face directory, by name. */
export function tokenizerFiles(bpe: Bpe): Record<string, string> {
  const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'tokenizer.json': pretty(tokenizerJson(bpe)),
    'tokenizer_config.json': pretty(tokenizerConfig(bpe)),
    'chat_template.json': pretty({ chat_template: chatTemplate }),
    'vocab.json': JSON.stringify(vocabulary(bpe)),
    'merges.txt': ['#version: 0.2', ...bpe.merges.map((pair) => pair.join(' ')), ''].join('\n'),
  };
}
