import { asMapping } from '../check/codec.ts';
import { pathOf, type Issue, type SourceOf } from '../check/issues.ts';
import { parseYaml } from './yaml-source.ts';
import { YamlFloat } from '../check/scalars.ts';

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
  /** The texts in whose place the environment was read, by path. */
  readonly fromEnvironment: ReadonlyMap<string, string>;
  readonly issues: readonly Issue[];
}

/** References that are followed in all, and characters of a text they make: doubling has an end. */
const MAX_FOLLOWED = 10_000;
const MAX_TEXT = 1_000_000;

/**
 * Replaces `${path.to.key}` by the value that stands there in the merged input, and `${oc.env:NAME}`,
 * `${env:NAME}` or `${NAME}` by a variable of the environment; the first two take a default after a comma.
 *
 * A reference alone takes the value with its type, one inside a text its text; a variable's text is read as YAML,
 * like that of a command-line item, unless it is none. A reference to itself, to a section, or to what was not given
 * is an issue, and so are a `???` that was left and references that multiply without end.
 */
export function interpolate(
  tree: Readonly<Record<string, unknown>>,
  sourceOf: SourceOf,
  environment: Environment = process.env,
): Interpolated {
  const issues: Issue[] = [];
  const fromEnvironment = new Map<string, string>();
  let read = 0;
  let followed = 0;

  const resolve = (value: unknown, keys: readonly string[], seen: readonly string[]): unknown => {
    if (typeof value === 'string') {
      const before = read;
      const resolved = resolveText(value, keys, seen);
      // What a text refers to is resolved before the text itself, which has the last word here.
      if (read > before) fromEnvironment.set(pathOf(keys), value);
      return resolved;
    }
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
      const name = variable ?? key!;
      const value = (Object.hasOwn(environment, name) ? environment[name] : undefined) ?? otherwise;
      if (value === undefined) complain(`${whole!} is not given`);
      read++;
      return value;
    };
    const follow = (path: string): unknown => {
      const value = at(tree, path);
      if (asMapping(value) !== undefined) complain(`\${${path}} is a section`);
      else if (seen.includes(path)) complain(`\${${path}} refers to itself`);
      else if (++followed <= MAX_FOLLOWED) return resolve(value, keys, [...seen, path]);
      else if (followed === MAX_FOLLOWED + 1) complain('references multiply without end');
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
    const [first] = text.matchAll(reference);
    if (first?.[0] === text) {
      if (!isVariable(first)) return follow(first[3]!);
      const variable = variableOf(first);
      return variable === undefined ? undefined : scalarOf(variable);
    }
    let length = 0;
    return text.replaceAll(reference, (...match: string[]) => {
      const part = isVariable(match) ? (variableOf(match) ?? '') : textOf(follow(match[3]!));
      const isTooLong = length <= MAX_TEXT && length + part.length > MAX_TEXT;
      length += part.length;
      if (isTooLong) complain(`references make more than ${MAX_TEXT} characters`);
      return length > MAX_TEXT ? '' : part;
    });
  };

  return { value: asMapping(resolve(tree, [], [])) ?? {}, fromEnvironment, issues };
}

/** A variable's text as YAML; one that is none, as a password may be, as it is. */
function scalarOf(variable: string): unknown {
  const { value, issues } = parseYaml(variable, { item: '' });
  return issues.length > 0 ? variable : value;
}

function at(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => {
    const mapping = asMapping(value);
    return mapping !== undefined && Object.hasOwn(mapping, key) ? mapping[key] : undefined;
  }, tree);
}

function textOf(value: unknown): string {
  if (value instanceof YamlFloat) return value.source;
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
