/** Trees of values, such as configs, and their flat forms with names such as `a/b`. */

/** A value of a nested mapping: a mapping again, or a leaf. */
export interface Nested<T> {
  [key: string]: T | Nested<T>;
}

/** Flat names as a tree: `{'a/b': 1}` becomes `{a: {b: 1}}`. */
export function nested<T>(flat: Readonly<Record<string, T>>): Nested<T> {
  const root: Nested<T> = {};
  for (const [name, value] of Object.entries(flat)) {
    const path = name.split('/');
    const last = path.pop()!;
    let at: Nested<T> = root;
    for (const key of path) at = at[key] ??= {};
    at[last] = value;
  }
  return root;
}

/** A tree as flat names: `{a: {b: 1}}` becomes `{'a/b': 1}`; lists are leaves, empty mappings are left out. */
export function flattened(
  tree: Readonly<Record<string, unknown>>,
  prefix = '',
): Record<string, unknown> {
  const flat: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(tree)) {
    const name = prefix + key;
    const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isMapping) Object.assign(flat, flattened({ ...value }, `${name}/`));
    else flat[name] = value;
  }
  return flat;
}

/** The values of a config by key, as in `trainer.seed`. */
export function byKey(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const flat = Object.entries(flattened(config));
  return Object.fromEntries(flat.map(([name, value]) => [name.replaceAll('/', '.'), value]));
}

/** A scalar or a list of a config as text; null is `None`, as in the reference's trackers. */
export function configText(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
