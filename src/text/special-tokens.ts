import * as t from 'io-ts';
import { decoded } from './json-file.ts';
import { readTokenizerConfig } from './tokenizer-config.ts';

/** A token as `tokenizer_config.json` writes it: its text, or the text with flags. */
export const TokenText = t.union([t.string, t.type({ content: t.string })]);

const TokenMap = t.record(t.string, TokenText);
const TokenizerConfigFile = t.partial({
  tokenizer_class: t.string,
  additional_special_tokens: t.union([t.array(TokenText), t.null]),
  extra_special_tokens: t.union([t.array(TokenText), TokenMap, t.null]),
  model_specific_special_tokens: TokenMap,
});

/** Special tokens by the names that a chat template has for them. */
export type SpecialTokens = Readonly<Record<string, string | readonly string[]>>;

/** Classes of tokenizers that have no special tokens but those their config names. */
const PLAIN_CLASSES = ['PreTrainedTokenizerFast', 'TokenizersBackend'];
const QWEN2_TOKENS = {
  eos_token: '<|endoftext|>',
  pad_token: '<|endoftext|>',
  unk_token: '<|endoftext|>',
};

/**
 * The variables that a directory's tokenizer adds to its chat template, as transformers' `special_tokens_map`:
 * `eos_token` and every other `..._token` of `tokenizer_config.json`, `additional_special_tokens`, and tokens that a
 * model gives names of its own.
 *
 * A token that the file does not mention is that of Qwen2's tokenizer; one that it sets to null is not there.
 *
 * @throws CHECKPOINT_INVALID naming file and field
 */
export function specialTokens(directory: string): SpecialTokens {
  const { path, json: config } = readTokenizerConfig(directory);
  const file = decoded(TokenizerConfigFile, config, path);
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

/** The fields of a tokenizer's config that are called tokens. */
function tokensIn(config: object): object {
  return Object.fromEntries(Object.entries(config).filter(([name]) => name.endsWith('_token')));
}

/** The text of a token. */
export function textOf(token: t.TypeOf<typeof TokenText>): string {
  return typeof token === 'string' ? token : token.content;
}
