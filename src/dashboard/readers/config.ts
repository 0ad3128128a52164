/** The configs of runs side by side, from their `config.json`. */
import { join } from 'node:path';
import * as t from 'io-ts';
import { asMapping } from '../../check/codec.ts';
import { jsonIn } from '../../check/json.ts';
import { byKey } from '../../loggers/nesting.ts';
import type { ConfigRow, ConfigTable } from '../api.ts';

/** Last keys of paths whose values are secrets. */
const secret =
  /((api|access|secret|private)[-_]?key|secret|password|passwd|passphrase|(^|[._-])token|credentials?|authorization)s?$/i;
/** Keys of mappings that a user fills freely, any value of which may be secret. */
const free: readonly string[] = ['headers', 'env'];
/** A reference to the environment, without a value to fall back to. */
const reference = /^\$\{[\w.:]+\}$/;

/** The config of a run by key, as in `trainer.seed`; empty where there is none that can be read. */
async function keysOf(folder: string): Promise<Readonly<Record<string, unknown>>> {
  return byKey((await jsonIn(t.UnknownRecord, join(folder, 'config.json'))) ?? {});
}

/** Every key that one of the runs has, with the values of all of them. */
export async function configTable(
  runs: readonly { readonly id: string; readonly folder: string }[],
): Promise<ConfigTable> {
  const configs = await Promise.all(runs.map(({ folder }) => keysOf(folder)));
  const keys = new Set(configs.flatMap((config) => Object.keys(config)));
  const rows = [...keys].map((key): ConfigRow => {
    const values = configs.map((config) => config[key]);
    const texts = new Set(values.map((value) => JSON.stringify(value)));
    const path = key.split('.');
    return { key, values: values.map((value) => shown(value, path)), differs: texts.size > 1 };
  });
  return { runs: runs.map(({ id }) => id), rows };
}

/** A value whose secret texts are hidden, at any depth. */
function shown(value: unknown, path: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => shown(item, path));
  const mapping = asMapping(value);
  if (mapping !== undefined) {
    const entries = Object.entries(mapping);
    return Object.fromEntries(entries.map(([key, inner]) => [key, shown(inner, [...path, key])]));
  }
  const isText = typeof value === 'string' && value !== '' && !reference.test(value);
  const isSecret = path.some((key) => free.includes(key)) || secret.test(path.at(-1)!);
  return isText && isSecret ? '***' : value;
}
