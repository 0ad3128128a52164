/** Documentation of every key of the config, made from the schema: for the command line and for the README. */
import { isLeft } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { stringify } from 'yaml';
import { CxmindError } from '../errors.ts';
import { schemaKeys, type SchemaKey } from '../check/codec.ts';
import { nearestKey } from '../check/nearest.ts';
import { Config } from './schema.ts';
import { isWithoutEffect } from './unsupported.ts';

/** A key of the config with everything that its documentation says. */
export interface DocumentedKey extends SchemaKey {
  /** Values that it takes, in words. */
  readonly takes: string;
  /** False for a key that changes nothing and is taken only because the reference has it. */
  readonly hasEffect: boolean;
  /** Default as YAML flow text; null for a section, and for a key that must be given. */
  readonly byDefault: string | null;
}

/** Note on a key that changes nothing. */
const noEffect = 'No effect here, taken for parity.';

/** Every key of the config in the order of the schema. */
export function documentedKeys(): DocumentedKey[] {
  return schemaKeys(Config).map((key) => ({
    ...key,
    takes: key.codec.name,
    hasEffect: !isWithoutEffect(key.path),
    byDefault: key.isSection ? null : defaultOf(key.codec),
  }));
}

/** The default of a codec, which is what it decodes from an absent key. */
function defaultOf(codec: t.Mixed): string | null {
  const decoded = codec.decode(undefined);
  if (isLeft(decoded)) return null;
  return stringify(codec.encode(decoded.right), { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

/**
 * Explains a key, or every key of a section, one paragraph a key.
 *
 * @throws CONFIG_INVALID for an unknown key, with the nearest one
 */
export function explainKey(path: string): string {
  const keys = documentedKeys();
  const found = keys.filter((key) => key.path === path || key.path.startsWith(`${path}.`));
  if (found.length === 0) {
    const nearest = nearestKey(
      path,
      keys.map((key) => key.path),
    );
    const meant = nearest === undefined ? '' : `, nearest valid key: ${nearest}`;
    throw new CxmindError('CONFIG_INVALID', `${path}: unknown key${meant}`);
  }
  return found
    .map(({ path: name, description, takes, hasEffect, byDefault, isSection }) => {
      const usual = byDefault === null ? 'must be given' : `default ${byDefault}`;
      const values = isSection ? '' : `\n  takes ${takes}; ${usual}`;
      return `${name}\n  ${description}${hasEffect ? '' : `\n  ${noEffect}`}${values}`;
    })
    .join('\n\n');
}

/** The README's table of all keys, in Markdown. */
export function referenceTable(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = documentedKeys().map((key) => {
    const { path, takes, byDefault } = key;
    const description = cell(key.description) + (key.hasEffect ? '' : ` *${noEffect}*`);
    if (key.isSection) return `| **\`${path}\`** | ${description} | |`;
    const usual = byDefault === null ? 'must be given' : `\`${cell(byDefault)}\``;
    return `| \`${path}\` | ${description} Takes ${cell(takes)}. | ${usual} |`;
  });
  return ['| key | what it does | default |', '| --- | --- | --- |', ...rows].join('\n');
}
