import { asMapping } from './codec.ts';
import { pathOf, type Issue, type SourceOf } from './issues.ts';
import { parseYaml } from './yaml-source.ts';
import { YamlFloat } from './yaml-float.ts';

/** The reference loader's mark of a value that has to be given. */
const MANDATORY = '???';
/** `${path.to.key}`, `${NAME}`, or `${oc.env:NAME,default}` as the reference loader spells it. */
const reference = /\$\{(?:(?:oc\.)?env:(\w+)(?:,([^}]*))?|([\w.]+))\}/g;

/** A reference, and in it the variable, its default, or the key. */
type Match = readonly (string | undefined)[];

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A tree without references, and what was wrong with them. */
export interface Interpolated {
  readonly value: Readonly<Record<string, unknown>>;
  readonly issues: readonly Issue[];
}

/**
 * Replaces `${path.to.key}` by the value that stands there in the merged input, and `${oc.env:NAME}`,
 * `${env:NAME}` or `${NAME}` by a variable of the environment; the first two take a default after a comma.
 *
 * A reference alone takes the value with its type, one inside a text its text; a variable's text is read as YAML,
 * like that of a command-line item. A reference to itself, to a section, or to what was not given is an issue, and
 * so is a `???` that was left.
 */
export function interpolate(
  tree: Readonly<Record<string, unknown>>,
  sourceOf: SourceOf,
  environment: Environment = process.env,
): Interpolated {
  const issues: Issue[] = [];

  const resolve = (value: unknown, keys: readonly string[], seen: readonly string[]): unknown => {
    if (typeof value === 'string') return resolveText(value, keys, seen);
    if (Array.isArray(value)) {
      return value.map((item, index) => resolve(item, [...keys, String(index)], seen));
    }
    const mapping = asMapping(value);
    if (mapping === undefined) return value;
    const entries = Object.entries(mapping).map(([key, inner]): [string, unknown] => [
      key,
      resolve(inner, [...keys, key], seen),
    ]);
    return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
  };

  const resolveText = (text: string, keys: readonly string[], seen: readonly string[]): unknown => {
    const isVariable = ([, variable, , key]: Match): boolean =>
      variable !== undefined || at(tree, key!) === undefined;
    const variableOf = ([whole, variable, otherwise, key]: Match): string | undefined => {
      const value = environment[variable ?? key!] ?? otherwise;
      if (value === undefined) complain(`${whole!} is not given`);
      return value;
    };
    const follow = (path: string): unknown => {
      const value = at(tree, path);
      if (asMapping(value) !== undefined) complain(`\${${path}} is a section`);
      else if (seen.includes(path)) complain(`\${${path}} refers to itself`);
      else return resolve(value, keys, [...seen, path]);
      return undefined;
    };
    const complain = (expected: string): void => {
      const path = pathOf(keys);
      const source = sourceOf(path);
      issues.push({ path, expected, ...(source === undefined ? {} : { source }) });
    };
    if (text === MANDATORY) {
      complain('mandatory, and not given');
      return undefined;
    }
    const [first] = [...text.matchAll(reference)];
    if (first?.[0] === text) {
      if (!isVariable(first)) return follow(first[3]!);
      const variable = variableOf(first);
      return variable === undefined ? undefined : parseYaml(variable, { item: text }).value;
    }
    return text.replaceAll(reference, (...match: string[]) =>
      isVariable(match) ? (variableOf(match) ?? '') : textOf(follow(match[3]!)),
    );
  };

  return { value: asMapping(resolve(tree, [], [])) ?? {}, issues };
}

function at(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => asMapping(value)?.[key], tree);
}

function textOf(value: unknown): string {
  if (value instanceof YamlFloat) return value.source;
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
