/** Values of a config that were read from variables of the environment. They may be secrets, so no file shows them. */
import { secretHider } from '../printable.ts';
import { replaced } from '../check/codec.ts';
import { pathOf } from '../check/issues.ts';

/** A value that was read from a variable of the environment, and the text that named it. */
export interface EnvironmentValue {
  /** Dotted path of the key. */
  readonly path: string;
  /** Text of the config in its place: `${NAME}`, or one with that in it. */
  readonly text: string;
  /** Value that it became, encoded. */
  readonly value: unknown;
}

type Tree = Readonly<Record<string, unknown>>;

/** Length of a text that is hardly equal to another by chance. */
const MIN_TELLING = 6;

/**
 * Finds the values that were read from the environment.
 *
 * @param tree  an encoded config
 * @param texts their references, by path
 */
export function environmentValues(
  tree: Tree,
  texts: ReadonlyMap<string, string>,
): EnvironmentValue[] {
  const found: EnvironmentValue[] = [];
  replaced(tree, [], (value, keys) => {
    const path = pathOf(keys);
    const text = texts.get(path);
    if (text !== undefined) found.push({ path, text, value });
    return value;
  });
  return found;
}

/**
 * An encoded config without its secrets.
 *
 * A value that came from the environment, or was derived from one that did, is `${NAME}` again. Passwords and secrets
 * that were written out are gone.
 *
 * It decodes to the same config wherever the variables are the same.
 */
export function withoutEnvironment(tree: Tree, values: readonly EnvironmentValue[]): Tree {
  const byPath = new Map(values.map((one) => [one.path, one]));
  const isTelling = ({ value }: EnvironmentValue): boolean =>
    typeof value === 'string' && value.length >= MIN_TELLING;
  const byValue = new Map(values.filter(isTelling).map(({ value, text }) => [value, text]));
  const hide = secretHider();
  const shown = replaced(tree, [], (value, keys) => {
    const own = byPath.get(pathOf(keys));
    // A program may have replaced the value.
    if (own !== undefined && JSON.stringify(own.value) === JSON.stringify(value)) return own.text;
    return typeof value === 'string' ? (byValue.get(value) ?? hide(value)) : value;
  });
  return shown as Tree;
}
