/** References in a config, replaced by the values and variables that they name. */
import { asMapping, replaced, valueAt } from '../check/codec.ts';
import { pathOf, type Issue, type SourceOf } from '../check/issues.ts';
import { parseYaml } from './yaml.ts';
import { YamlFloat } from '../check/scalars.ts';

/** The reference loader's mark of a value that has to be given. */
const MANDATORY = '???';
/** `${path.to.key}`, `${NAME}`, or `${oc.env:NAME,default}` as the reference loader spells it. */
const reference = /\$\{(?:(?:oc\.)?env:(\w+)(?:,([^}]*))?|([\w.]+))\}/g;

/** The parts of a reference: its text, the variable, its default, and the key. */
type Match = readonly (string | undefined)[];

/** A tree without references, and the issues of those that lead nowhere. */
export interface Interpolated {
  readonly value: Readonly<Record<string, unknown>>;
  /** Texts in whose place the environment was read, by path. */
  readonly fromEnvironment: ReadonlyMap<string, string>;
  readonly issues: readonly Issue[];
}

/** Most references that are followed, and most characters of a text that they make. */
const MAX_FOLLOWED = 10_000;
const MAX_TEXT = 1_000_000;

/**
 * Replaces references in a merged input.
 *
 * `${path.to.key}` is the value that stands there, and `${oc.env:NAME}`, `${env:NAME}` or `${NAME}` a variable of the
 * environment; the first two take a default after a comma. A reference alone takes the value with its type, one inside a
 * text its text. A variable's text is read as YAML, like that of a command-line item, unless it is none. A reference to
 * itself, to a section, or to what was not given is an issue, and so are a `???` that was left and references that
 * multiply without end.
 */
export function interpolate(
  tree: Readonly<Record<string, unknown>>,
  sourceOf: SourceOf,
  environment: NodeJS.ProcessEnv = process.env,
): Interpolated {
  const fromEnvironment = new Map<string, string>();
  const issues: Issue[] = [];
  const complain = (keys: readonly string[], expected: string): void => {
    const path = pathOf(keys);
    const source = sourceOf(path);
    issues.push({ path, expected, ...(source === undefined ? {} : { source }) });
  };
  const resolve = resolver({ tree, environment, fromEnvironment, complain });
  const value = asMapping(resolve(tree, [], [])) ?? {};
  return { value, fromEnvironment, issues };
}

/** Tree and variables that references lead to, and what is noted of them on the way. */
interface References {
  readonly tree: Readonly<Record<string, unknown>>;
  readonly environment: NodeJS.ProcessEnv;
  readonly fromEnvironment: Map<string, string>;
  readonly complain: (keys: readonly string[], expected: string) => void;
}

/**
 * Replaces the references in the value at `keys`; undefined where one leads nowhere.
 *
 * @param seen keys whose references led here
 */
type Resolve = (value: unknown, keys: readonly string[], seen: readonly string[]) => unknown;

function resolver({ tree, environment, fromEnvironment, complain }: References): Resolve {
  /** Variables read so far, and keys followed. */
  let [read, followed] = [0, 0];

  const resolve: Resolve = (value, keys, seen) =>
    replaced(value, keys, (inner, at) => {
      if (typeof inner !== 'string') return inner;
      const before = read;
      const resolved = resolveText(inner, at, seen);
      // Texts that this one refers to are resolved first, so the outermost text is the one that is kept.
      if (read > before) fromEnvironment.set(pathOf(at), inner);
      return resolved;
    });

  const resolveText = (text: string, keys: readonly string[], seen: readonly string[]): unknown => {
    if (text === MANDATORY) {
      complain(keys, 'mandatory, and not given');
      return undefined;
    }
    const [first] = text.matchAll(reference);
    if (first?.[0] === text) {
      if (!isVariable(first)) return follow(first[3]!, keys, seen);
      const given = variable(first, keys);
      return given === undefined ? undefined : scalarOf(given);
    }
    const partOf = (match: Match): string =>
      isVariable(match) ? (variable(match, keys) ?? '') : textOf(follow(match[3]!, keys, seen));
    return composed(text, partOf, () =>
      complain(keys, `references make more than ${MAX_TEXT} characters`),
    );
  };

  const isVariable = ([, name, , key]: Match): boolean =>
    name !== undefined || valueAt(tree, key!) === undefined;

  const variable = (match: Match, keys: readonly string[]): string | undefined => {
    const [whole, given, otherwise, key] = match;
    const name = given ?? key!;
    const own = Object.hasOwn(environment, name) ? environment[name] : undefined;
    const value = own ?? otherwise;
    if (value === undefined) complain(keys, `${whole!} is not given`);
    read++;
    return value;
  };

  const follow = (path: string, keys: readonly string[], seen: readonly string[]): unknown => {
    const value = valueAt(tree, path);
    if (asMapping(value) !== undefined) complain(keys, `\${${path}} is a section`);
    else if (seen.includes(path)) complain(keys, `\${${path}} refers to itself`);
    else if (++followed <= MAX_FOLLOWED) return resolve(value, keys, [...seen, path]);
    else if (followed === MAX_FOLLOWED + 1) complain(keys, 'references multiply without end');
    return undefined;
  };

  return resolve;
}

/** A text with its references replaced, up to `MAX_TEXT` characters; `onTooLong` is called once if there are more. */
function composed(text: string, partOf: (match: Match) => string, onTooLong: () => void): string {
  let length = 0;
  return text.replaceAll(reference, (...match: string[]) => {
    const part = partOf(match);
    const isTooLong = length <= MAX_TEXT && length + part.length > MAX_TEXT;
    length += part.length;
    if (isTooLong) onTooLong();
    return length > MAX_TEXT ? '' : part;
  });
}

/** The value of a variable's text as YAML; a text that is no YAML, as a password may be, is itself. */
function scalarOf(variable: string): unknown {
  const { value, issues } = parseYaml(variable, { item: '' });
  return issues.length > 0 ? variable : value;
}

function textOf(value: unknown): string {
  if (value instanceof YamlFloat) return value.source;
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
