import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonObject } from './json-file.ts';

/** What a directory says of its tokenizer beside `tokenizer.json`, and what a message calls that. */
export interface TokenizerConfig {
  readonly path: string;
  readonly json: object;
}

const LIST = 'additional_special_tokens';

/**
 * Reads `tokenizer_config.json`; there need not be one.
 *
 * Where it does not list added tokens, as older tokenizers do not, `special_tokens_map.json` goes before it, and its
 * additional tokens come behind those of the config, as in transformers 4.
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
  return existsSync(path) ? { ...readJsonObject(path) } : {};
}
