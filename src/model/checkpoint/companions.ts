/** Files beside the weights of a checkpoint, such as config, tokenizer and licence, and how they are copied with it. */
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as t from 'io-ts';
import { readJson } from '../../check/json.ts';
import { isFile } from '../../files.ts';

/** The content of a JSON file. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Name of the file that lists the tensors of every weight file. */
export const INDEX = 'model.safetensors.index.json';

/** Name of the folder of named chat templates. */
const TEMPLATES = 'additional_chat_templates';

/** Changes to JSON files while they are copied, by name. */
export type Changes = Readonly<Record<string, (json: JsonObject) => JsonObject>>;

/** Tells whether a file belongs to a model besides its weights: config, tokenizer, template, licence. */
function isCompanion(name: string): boolean {
  if (/^(pytorch_model|tf_model|flax_model)/.test(name)) return false;
  return /\.(json|jinja|txt|model)$/.test(name) || /^(LICENSE|NOTICE)/i.test(name);
}

/**
 * Copies the regular files beside the weights and in the folder of templates, and nothing else. A file without changes
 * keeps its bytes.
 */
export async function copyCompanions(from: string, to: string, changes: Changes): Promise<void> {
  const all: Changes = { 'tokenizer_config.json': tokensForBoth, ...changes };
  const templates = await readdir(path.join(from, TEMPLATES)).catch(() => []);
  const names = [...(await readdir(from)), ...templates.map((name) => path.join(TEMPLATES, name))];
  for (const name of names.filter(isCompanion)) {
    const [source, target] = [path.join(from, name), path.join(to, name)];
    if (!(await isFile(source))) continue;
    await mkdir(path.dirname(target), { recursive: true });
    const change = all[name];
    const json = change && (await readJson(t.UnknownRecord, source));
    const changed = json && change(json);
    if (changed === undefined || isDeepStrictEqual(json, changed)) await copyFile(source, target);
    else await writeFile(target, `${JSON.stringify(changed, null, 2)}\n`);
  }
}

/** A change that makes the index list these tensors, `[name, file]`. */
export function indexChange(tensors: readonly (readonly [string, string])[]): Changes {
  return { [INDEX]: (index) => ({ ...index, weight_map: Object.fromEntries(tensors) }) };
}

/** A tokenizer's config that transformers 4 reads too, which takes no list as `extra_special_tokens`. */
function tokensForBoth(config: JsonObject): JsonObject {
  const { extra_special_tokens: listed, ...others } = config;
  return Array.isArray(listed) ? { ...others, additional_special_tokens: listed } : config;
}
