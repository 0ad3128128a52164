import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as t from 'io-ts';
import { readJsonSync } from '../check/json.ts';

/** Settings of a directory's tokenizer besides `tokenizer.json`. */
export interface TokenizerConfig {
  /** Path that messages name. */
  readonly path: string;
  readonly json: object;
}

const LIST = 'additional_special_tokens';

/**
 * Reads `tokenizer_config.json`. The file may be missing.
 *
 * The config of an older tokenizer does not list its added tokens. `special_tokens_map.json` then takes precedence,
 * and its additional tokens follow those of the config, as in transformers 4.
 *
 * @throws CHECKPOINT_INVALID naming the file that cannot be read
 */
export function readTokenizerConfig(directory: string): TokenizerConfig {
  const path = join(directory, 'tokenizer_config.json');
  const config = optional(path);
  if ('added_tokens_decoder' in config) return { path, json: config };
  const map = optional(join(directory, 'special_tokens_map.json'));
  const lists = [config[LIST], map[LIST]].filter(Array.isArray);
  return { path, json: { ...config, ...map, ...(lists.length > 0 && { [LIST]: lists.flat() }) } };
}

function optional(path: string): Readonly<Record<string, unknown>> {
  return existsSync(path) ? readJsonSync(t.UnknownRecord, path) : {};
}
