/** Layers of a config, merged with the source of each value; a file is one, the items of a command line another. */
import { asMapping } from '../check/codec.ts';
import { configInvalid, pathOf, type Issue, type SourceOf } from '../check/issues.ts';
import { parseYaml } from './yaml.ts';

/** Input of the schema: plain data, and the source of each of its values. */
export interface Layer {
  readonly value: Readonly<Record<string, unknown>>;
  readonly sources: ReadonlyMap<string, string>;
}

/** A command line as it is read: the file, and the values laid over it. */
export interface Items {
  readonly configPath: string | null;
  readonly layers: readonly Layer[];
}

/**
 * A tree laid over another: mappings merge key by key, lists and scalars are replaced.
 *
 * A mapping of positions merges into a list, so that `curriculum.0.steps=5` reaches into its first stage.
 */
export function merge(under: unknown, over: unknown): unknown {
  const below = asMapping(under);
  const above = asMapping(over);
  if (Array.isArray(under) && above !== undefined && isPositions(above, under.length)) {
    return under.map((item: unknown, index): unknown =>
      index in above ? merge(item, above[index]) : item,
    );
  }
  if (below === undefined || above === undefined) return over;
  const merged = new Map<string, unknown>(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    merged.set(key, merged.has(key) ? merge(merged.get(key), value) : value);
  }
  return Object.fromEntries(merged);
}

function isPositions(mapping: Readonly<Record<string, unknown>>, length: number): boolean {
  return Object.keys(mapping).every((key) => /^\d+$/.test(key) && Number(key) < length);
}

/** Layers merged in order, of which the last wins; each value keeps the source that wrote it. */
export function mergeLayers(layers: readonly Layer[]): Layer {
  const sources = new Map<string, string>();
  let value: unknown = {};
  for (const layer of layers) {
    value = merge(value, layer.value);
    for (const [path, source] of layer.sources) sources.set(path, source);
  }
  return { value: asMapping(value) ?? {}, sources };
}

/** The source of a value, or of the first thing that was written inside it. */
export function sourceIn({ sources }: Layer): SourceOf {
  return (path) => {
    const exact = sources.get(path);
    if (exact !== undefined) return exact;
    return sources.entries().find(([inner]) => inner.startsWith(`${path}.`))?.[1];
  };
}

/**
 * Reads `path.to.key=value` items.
 *
 * The text after the first `=` is YAML, and nothing is null. `config=PATH` names the file. A `+` before a key, which Hydra
 * wants for keys that a file lacks, is passed over.
 *
 * @throws CONFIG_INVALID with every item that cannot be read
 */
export function readItems(items: readonly string[]): Items {
  const issues: Issue[] = [];
  const layers: Layer[] = [];
  let configPath: string | null = null;
  for (const item of items) {
    const equals = item.indexOf('=');
    const key = (equals < 0 ? item : item.slice(0, equals)).trim().replace(/^\+{1,2}/, '');
    const text = equals < 0 ? '' : item.slice(equals + 1);
    const source = `argument ${item}`;
    if (key === 'config') {
      configPath = text;
      if (text === '') issues.push({ path: key, expected: 'expected config=PATH', source });
      continue;
    }
    const keys = key.split('.');
    if (equals < 0 || keys.includes('')) {
      const isFile = equals < 0 && /\.ya?ml$/.test(item);
      const expected = isFile ? `a file is given as config=${item}` : 'expected path.to.key=value';
      issues.push({ path: item, expected });
      continue;
    }
    // A text that begins with `*` is a pattern of files, as for Hydra; YAML would read it as an alias.
    const yaml = text.startsWith('*') ? JSON.stringify(text) : text;
    const { value, sources, issues: wrong } = parseYaml(yaml, { item: source });
    issues.push(...wrong.map((issue) => ({ ...issue, path: key })));
    layers.push(layerAt(keys, value, source, sources));
  }
  if (issues.length > 0) throw configInvalid(issues);
  return { configPath, layers };
}

function layerAt(
  keys: readonly string[],
  value: unknown,
  source: string,
  inner: ReadonlyMap<string, string>,
): Layer {
  const path = pathOf(keys);
  const sources = new Map([[path, source]]);
  for (const rest of inner.keys()) {
    sources.set(rest.startsWith('[') ? path + rest : `${path}.${rest}`, source);
  }
  const nested = keys.reduceRight<unknown>((held, key) => ({ [key]: held }), value);
  return { value: asMapping(nested) ?? {}, sources };
}
