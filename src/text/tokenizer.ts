import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import * as t from 'io-ts';
import { decodeJson, readJsonSync } from '../check/json.ts';
import { CxmindError, messageOf } from '../errors.ts';
import { textOf, TokenText } from './special-tokens.ts';
import { tokenBytes, type TokenBytes } from './token-bytes.ts';
import { readTokenizerConfig } from './tokenizer-config.ts';
import { checkTokenizerFlags } from './tokenizer-flags.ts';

const idOrIds = t.union([t.number, t.array(t.number), t.null], 'a token id or a list of them');
const GenerationFile = t.partial({
  eos_token_id: idOrIds,
  pad_token_id: t.union([t.number, t.null]),
});

const tokenOrNone = t.union([TokenText, t.null]);
const TokenizerConfigFile = t.partial({ eos_token: tokenOrNone, pad_token: tokenOrNone });

/** Tokenizer of a checkpoint's `tokenizer.json`. */
export class Tokenizer {
  /** Ids that end a response: those of the generation config, else the tokenizer's end token. */
  readonly eosIds: readonly number[];
  /** Id that closes the assistant's turn. */
  readonly endOfTurnId: number;
  /** Id of padding. */
  readonly padId: number;
  /** Number of ids. A model's vocabulary may be padded beyond it. */
  readonly size: number;
  readonly #hub: HubTokenizer;
  /** Content of `tokenizer.json`. */
  readonly #json: object;

  private constructor(
    hub: HubTokenizer,
    json: object,
    ids: { eosIds: readonly number[]; endOfTurnId: number; padId: number },
  ) {
    this.#hub = hub;
    this.#json = json;
    this.eosIds = ids.eosIds;
    this.endOfTurnId = ids.endOfTurnId;
    this.padId = ids.padId;
    this.size = hub.get_vocab(true).size;
  }

  /**
   * Loads the tokenizer of a Hugging Face directory.
   *
   * @throws CHECKPOINT_INVALID if a file is missing or broken, has an unsupported setting, or no file names an end token
   */
  static load(directory: string): Tokenizer {
    const path = join(directory, 'tokenizer.json');
    const tokenizer = readJsonSync(t.UnknownRecord, path);
    const config = readTokenizerConfig(directory);
    checkTokenizerFlags({ path, json: tokenizer }, config);
    const hub = open(tokenizer, config.json, directory);
    const idOf = (token: t.TypeOf<typeof tokenOrNone> | undefined): number | undefined =>
      token == null ? undefined : hub.token_to_id(textOf(token));

    const named = decodeJson(TokenizerConfigFile, config.json, config.path);
    const generation = generationConfig(directory);
    const endId = idOf(named.eos_token);
    const eosIds = [generation.eos_token_id ?? endId ?? []].flat();
    const endOfTurnId = endId ?? eosIds[0];
    if (endOfTurnId === undefined) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `${directory}: neither generation_config.json nor tokenizer_config.json names an end token`,
      );
    }
    const padId = idOf(named.pad_token) ?? generation.pad_token_id ?? endOfTurnId;
    return new Tokenizer(hub, tokenizer, { eosIds, endOfTurnId, padId });
  }

  /** Encodes a text. No token is added, and special tokens that are spelt out in the text are recognised. */
  encode(text: string): number[] {
    return this.#hub.encode(text, { add_special_tokens: false }).ids;
  }

  /** Decodes token ids. Bytes that are not UTF-8 become U+FFFD. */
  decode(
    ids: ArrayLike<number>,
    { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {},
  ): string {
    if (ids.length === 0) return '';
    return this.#hub.decode(Array.from(ids), {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: false,
    });
  }

  /** Bytes of every token. @throws CHECKPOINT_INVALID for a tokenizer whose tokens are not known byte by byte */
  tokenBytes(): TokenBytes {
    return tokenBytes(this.#json, this.#hub.get_vocab(true));
  }

  /** Id of a token; undefined if the vocabulary lacks it. */
  idOf(token: string): number | undefined {
    return this.#hub.token_to_id(token);
  }
}

function open(tokenizer: object, config: object, directory: string): HubTokenizer {
  try {
    return new HubTokenizer(tokenizer, config);
  } catch (cause) {
    const message = `${join(directory, 'tokenizer.json')}: not a tokenizer: ${messageOf(cause)}`;
    throw new CxmindError('CHECKPOINT_INVALID', message, { cause });
  }
}

/** Generation config. A directory without one may name its end token in `config.json`. */
function generationConfig(directory: string): t.TypeOf<typeof GenerationFile> {
  for (const file of ['generation_config.json', 'config.json']) {
    const path = join(directory, file);
    if (existsSync(path)) return readJsonSync(GenerationFile, path);
  }
  return {};
}
