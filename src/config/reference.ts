import { isLeft } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { stringify } from 'yaml';
import { CxmindError } from '../errors.ts';
import { schemaKeys, type SchemaKey } from './codec.ts';
import { nearestKey } from './issues.ts';
import { Config } from './schema.ts';
import { isWithoutEffect } from './unsupported.ts';

/** A key with all that there is to say about it, in words. */
export interface DocumentedKey extends SchemaKey {
  /** What it takes. */
  readonly takes: string;
  /** Whether it changes anything here, or is taken only because the reference has it. */
  readonly hasEffect: boolean;
  /** Its default as YAML flow text; null for a section, and for a key that must be given. */
  readonly byDefault: string | null;
}

/** Said of a key that has none. */
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

/** A key that may be left out decodes from nothing. */
function defaultOf(codec: t.Mixed): string | null {
  const decoded = codec.decode(undefined);
  if (isLeft(decoded)) return null;
  return stringify(codec.encode(decoded.right), { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

/**
 * What a key or section is for, one paragraph a key.
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
