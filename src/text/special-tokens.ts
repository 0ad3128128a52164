/** Special tokens of a tokenizer's config, which chat templates see as variables. */
import * as t from 'io-ts';
import { decodeJson } from '../check/json.ts';
import { readTokenizerConfig } from './tokenizer-config.ts';

/** Codec of a token in `tokenizer_config.json`: its text, or its text with flags. */
export const TokenText = t.union([t.string, t.type({ content: t.string })]);

const TokenMap = t.record(t.string, TokenText);
const TokenizerConfigFile = t.partial({
  tokenizer_class: t.string,
  additional_special_tokens: t.union([t.array(TokenText), t.null]),
  extra_special_tokens: t.union([t.array(TokenText), TokenMap, t.null]),
  model_specific_special_tokens: TokenMap,
});

/** Special tokens by their names in a chat template. */
export type SpecialTokens = Readonly<Record<string, string | readonly string[]>>;

/** Tokenizer classes without default special tokens. */
const PLAIN_CLASSES = ['PreTrainedTokenizerFast', 'TokenizersBackend'];
const QWEN2_TOKENS = {
  eos_token: '<|endoftext|>',
  pad_token: '<|endoftext|>',
  unk_token: '<|endoftext|>',
};

/**
 * Variables that a directory's tokenizer adds to its chat template, as transformers' `special_tokens_map`. They are
 * `eos_token` and every other `..._token` of `tokenizer_config.json`, `additional_special_tokens`, and tokens with
 * names of the model's own.
 *
 * A token that the file does not mention has the default of Qwen2's tokenizer. A token that it sets to null is absent.
 *
 * @throws CHECKPOINT_INVALID naming file and field
 */
export function specialTokens(directory: string): SpecialTokens {
  const { path, json: config } = readTokenizerConfig(directory);
  const file = decodeJson(TokenizerConfigFile, config, path);
  const listed = [file.additional_special_tokens, file.extra_special_tokens].find(Array.isArray);
  const named = [file.extra_special_tokens, file.model_specific_special_tokens].filter(TokenMap.is);
  const isPlain = PLAIN_CLASSES.includes(file.tokenizer_class ?? '');
  const tokens = Object.assign(
    {},
    isPlain ? {} : QWEN2_TOKENS,
    tokensIn(config),
    ...named,
  ) as Record<string, unknown>;
  return {
    ...Object.fromEntries(
      Object.entries(tokens).flatMap(([name, token]) =>
        TokenText.is(token) ? [[name, textOf(token)]] : [],
      ),
    ),
    ...(listed !== undefined && { additional_special_tokens: [...new Set(listed.map(textOf))] }),
  };
}

/** Fields of a tokenizer's config whose names end in `_token`. */
function tokensIn(config: object): object {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name.endsWith('_token')));
}

/** Text of a token. */
export function textOf(token: t.TypeOf<typeof TokenText>): string {
  return typeof token === 'string' ? token : token.content;
}
