import { asMapping, valueAt } from '../check/codec.ts';
import { pathOf, type Issue, type SourceOf } from '../check/issues.ts';
import { parseYaml } from './yaml.ts';
import { YamlFloat } from '../check/scalars.ts';

/** The reference loader's mark of a value that has to be given. */
const MANDATORY = '???';
/** `${path.to.key}`, `${NAME}`, or `${oc.env:NAME,default}` as the reference loader spells it. */
const reference = /\$\{(?:(?:oc\.)?env:(\w+)(?:,([^}]*))?|([\w.]+))\}/g;

/** The parts of a reference: its text, the variable, its default, and the key. */
type Match = readonly (string | undefined)[];

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

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
  environment: Environment = process.env,
): Interpolated {
  const walk = new Interpolator(tree, sourceOf, environment);
  const value = asMapping(walk.resolve(tree, [], [])) ?? {};
  return { value, fromEnvironment: walk.fromEnvironment, issues: walk.issues };
}

/** The walk through a tree that replaces its references, and what it finds on the way. */
class Interpolator {
  readonly fromEnvironment = new Map<string, string>();
  readonly issues: Issue[] = [];
  readonly #tree: Readonly<Record<string, unknown>>;
  readonly #sourceOf: SourceOf;
  readonly #environment: Environment;
  /** Variables read so far. */
  #read = 0;
  /** Keys followed so far. */
  #followed = 0;

  constructor(
    tree: Readonly<Record<string, unknown>>,
    sourceOf: SourceOf,
    environment: Environment,
  ) {
    this.#tree = tree;
    this.#sourceOf = sourceOf;
    this.#environment = environment;
  }

  /**
   * The value at `keys` without references; undefined where one leads nowhere.
   *
   * @param seen keys whose references led here
   */
  resolve(value: unknown, keys: readonly string[], seen: readonly string[]): unknown {
    if (typeof value === 'string') {
      const before = this.#read;
      const resolved = this.#resolveText(value, keys, seen);
      // Texts that this one refers to are resolved first, so the outermost text is the one that is kept.
      if (this.#read > before) this.fromEnvironment.set(pathOf(keys), value);
      return resolved;
    }
    if (Array.isArray(value)) {
      return value.map((item, index) => this.resolve(item, [...keys, String(index)], seen));
    }
    const mapping = asMapping(value);
    if (mapping === undefined) return value;
    const entries = Object.entries(mapping).map(([key, inner]): [string, unknown] => [
      key,
      this.resolve(inner, [...keys, key], seen),
    ]);
    return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
  }

  #resolveText(text: string, keys: readonly string[], seen: readonly string[]): unknown {
    if (text === MANDATORY) {
      this.#complain(keys, 'mandatory, and not given');
      return undefined;
    }
    const [first] = text.matchAll(reference);
    if (first?.[0] === text) {
      if (!this.#isVariable(first)) return this.#follow(first[3]!, keys, seen);
      const variable = this.#variable(first, keys);
      return variable === undefined ? undefined : scalarOf(variable);
    }
    let length = 0;
    return text.replaceAll(reference, (...match: string[]) => {
      const part = this.#isVariable(match)
        ? (this.#variable(match, keys) ?? '')
        : textOf(this.#follow(match[3]!, keys, seen));
      const isTooLong = length <= MAX_TEXT && length + part.length > MAX_TEXT;
      length += part.length;
      if (isTooLong) this.#complain(keys, `references make more than ${MAX_TEXT} characters`);
      return length > MAX_TEXT ? '' : part;
    });
  }

  #isVariable([, variable, , key]: Match): boolean {
    return variable !== undefined || valueAt(this.#tree, key!) === undefined;
  }

  #variable([whole, variable, otherwise, key]: Match, keys: readonly string[]): string | undefined {
    const name = variable ?? key!;
    const given = Object.hasOwn(this.#environment, name) ? this.#environment[name] : undefined;
    const value = given ?? otherwise;
    if (value === undefined) this.#complain(keys, `${whole!} is not given`);
    this.#read++;
    return value;
  }

  #follow(path: string, keys: readonly string[], seen: readonly string[]): unknown {
    const value = valueAt(this.#tree, path);
    if (asMapping(value) !== undefined) this.#complain(keys, `\${${path}} is a section`);
    else if (seen.includes(path)) this.#complain(keys, `\${${path}} refers to itself`);
    else if (++this.#followed <= MAX_FOLLOWED) return this.resolve(value, keys, [...seen, path]);
    else if (this.#followed === MAX_FOLLOWED + 1) {
      this.#complain(keys, 'references multiply without end');
    }
    return undefined;
  }

  #complain(keys: readonly string[], expected: string): void {
    const path = pathOf(keys);
    const source = this.#sourceOf(path);
    this.issues.push({ path, expected, ...(source === undefined ? {} : { source }) });
  }
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
