/** The configs of runs side by side, from their `config.json`. */
import { join } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../../check/json.ts';
import { flattened } from '../../loggers/nesting.ts';
import type { ConfigRow, ConfigTable } from '../api.ts';

/** Keys whose values are for nobody's eyes, if they were written out in a config. */
const secret = /(api_?key|secret|password|passwd|(^|_)token|credentials?)$/i;

/** The config of a run by key, as in `trainer.seed`; empty where there is none that can be read. */
async function keysOf(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const config = (await jsonIn(t.UnknownRecord, join(folder, 'config.json'))) ?? {};
  const flat = Object.entries(flattened(config));
  return Object.fromEntries(flat.map(([name, value]) => [name.replaceAll('/', '.'), value]));
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
    return { key, values: values.map((value) => shown(key, value)), differs: texts.size > 1 };
  });
  return { runs: runs.map(({ id }) => id), rows };
}

/** A value without what is secret. A reference to the environment is none. */
function shown(key: string, value: unknown): unknown {
  const isSecret = typeof value === 'string' && value !== '' && secret.test(key);
  return isSecret && !value.startsWith('${') ? '***' : value;
}
