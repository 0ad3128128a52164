import { stringify } from 'yaml';
import { asMapping, schemaKeys, type SchemaKey } from './codec.ts';
import { nearestKey } from './issues.ts';
import { Config, defaults } from './schema.ts';
import { CxmindError } from '../errors.ts';

/** A key with all that there is to say about it. */
export interface DocumentedKey extends SchemaKey {
  /** Its default as YAML flow text; empty for a section. */
  readonly byDefault: string;
}

/** The value at a dotted path of a tree of plain data. */
function valueAt(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => asMapping(at)?.[key], tree);
}

/** A value as it would stand in YAML, on one line. */
export function flowYaml(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

/** Every key of the config in the order of the schema. */
export function documentedKeys(): DocumentedKey[] {
  const usual = Config.encode(defaults());
  return schemaKeys(Config).map((key) => ({
    ...key,
    byDefault: key.isSection ? '' : flowYaml(valueAt(usual, key.path)),
  }));
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
    throw new CxmindError(
      'CONFIG_INVALID',
      `${path}: unknown key, nearest valid key: ${nearest ?? 'none'}`,
    );
  }
  return found
    .map(({ path: name, description, type, byDefault, isSection }) =>
      isSection
        ? `${name}\n  ${description}`
        : `${name}\n  ${description}\n  takes ${type}; default ${byDefault}`,
    )
    .join('\n\n');
}

/** The README's table of all keys, in Markdown. */
export function referenceTable(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = documentedKeys().map(({ path, description, type, byDefault, isSection }) =>
    isSection
      ? `| **\`${path}\`** | ${cell(description)} | |`
      : `| \`${path}\` | ${cell(description)} Takes ${cell(type)}. | \`${cell(byDefault)}\` |`,
  );
  return ['| key | what it does | default |', '| --- | --- | --- |', ...rows].join('\n');
}
