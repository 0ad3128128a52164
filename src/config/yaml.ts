/** YAML in and out: texts that are parsed with the place of each value, and trees that are written. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  stringify,
  type Document,
  type Node,
  type ScalarTag,
  type Tags,
} from 'yaml';
import { CxmindError, messageOf, refusalText } from '../errors.ts';
import { configInvalid, pathOf, type Issue } from '../check/issues.ts';
import { YamlFloat } from '../check/scalars.ts';
import { readText } from '../files.ts';

/** A parsed YAML text, the place of each of its values, and its issues. */
export interface SourcedValue {
  readonly value: unknown;
  /** Dotted path to `file:line`. */
  readonly sources: ReadonlyMap<string, string>;
  readonly issues: readonly Issue[];
}

/** Floats that are whole keep their text, so that `4.0` is not taken for an integer. */
function keepFloats(tags: Tags): Tags {
  return tags.map((tag): Tags[number] => {
    if (typeof tag === 'string' || tag.tag !== 'tag:yaml.org,2002:float') return tag;
    const float = tag as ScalarTag;
    return {
      ...float,
      resolve: (...[text, onError, options]: Parameters<ScalarTag['resolve']>) => {
        const value = float.resolve(text, onError, options);
        const number = isScalar(value) ? value.value : value;
        return Number.isInteger(number) ? new YamlFloat(text) : value;
      },
    };
  });
}

/** Limits of one text: more is an attack, or no config. */
const MAX_CHARACTERS = 1 << 20;
const MAX_DEPTH = 64;
/** Values with aliases followed, and characters that may begin one: the parser's time grows with their square. */
const MAX_VALUES = 10_000;
const MAX_BEGINNINGS = 30_000;
const beginning = /[\n,[{?]/g;

/**
 * Reads YAML 1.2 with merge keys; a repeated key is an error.
 *
 * Only the first error is told, since those after it mostly follow from it. A text that is too long, nested too deep
 * or, by its aliases, too much is an error too.
 *
 * @param origin names the text in issues: a file, whose lines are then told, or a command-line item
 */
export function parseYaml(
  text: string,
  origin: { readonly file: string } | { readonly item: string },
): SourcedValue {
  const name = 'file' in origin ? origin.file : origin.item;
  const lineCounter = new LineCounter();
  const sourceAt = (offset: number): string =>
    'file' in origin ? `${origin.file}:${lineCounter.linePos(offset).line}` : origin.item;
  const refused = (expected: string, source?: string): SourcedValue => ({
    value: null,
    sources: new Map(),
    issues: [{ path: name, expected, ...(source !== undefined && { source }) }],
  });
  if (text.length > MAX_CHARACTERS) return refused(`more than ${MAX_CHARACTERS} characters`);
  if ((text.match(beginning)?.length ?? 0) > MAX_BEGINNINGS) return refused(TOO_MANY);
  try {
    const document = parseDocument(text, {
      lineCounter,
      merge: true,
      prettyErrors: false,
      customTags: keepFloats,
    });
    const [error] = document.errors;
    if (error !== undefined) {
      const isSecond = error.code === 'MULTIPLE_DOCS';
      const expected = isSecond ? 'expected one YAML document, a second begins' : error.message;
      return refused(expected, sourceAt(error.pos[0]));
    }
    const sources = sourcesIn(document, sourceAt);
    return { value: document.toJS() as unknown, sources, issues: [] };
  } catch (error) {
    // The parser goes as deep as the text does, and so may run out of stack.
    return refused(error instanceof RangeError ? TOO_DEEP : messageOf(error));
  }
}

const TOO_MANY = `more than ${MAX_VALUES} values`;
const OF_NOTHING =
  'is an alias, and nothing before it has that anchor; a text that begins so is quoted';
const TOO_DEEP = `nested deeper than ${MAX_DEPTH} levels`;

/** Place of each value of a document, by path. @throws Error for more than a document may hold */
function sourcesIn(
  document: Document.Parsed,
  sourceAt: (offset: number) => string,
): Map<string, string> {
  const sources = new Map<string, string>();
  let values = 0;
  const walk = (node: unknown, keys: readonly string[], depth: number): void => {
    if (depth > MAX_DEPTH) throw new Error(TOO_DEEP);
    if (isAlias(node)) {
      const anchored = node.resolve(document);
      if (anchored === undefined) throw new Error(`*${node.source} ${OF_NOTHING}`);
      walk(anchored, keys, depth + 1);
      return;
    }
    if (isSeq(node)) {
      node.items.forEach((item, index) => place(item, [...keys, String(index)], depth));
    }
    if (!isMap(node)) return;
    const isMerge = ({ key }: { key: unknown }): boolean => isScalar(key) && key.source === '<<';
    node.items.filter(isMerge).forEach(({ value }) => walk(value, keys, depth + 1));
    for (const { key, value } of node.items.filter((pair) => !isMerge(pair))) {
      place(value, [...keys, String(isScalar(key) ? key.value : key)], depth, key as Node);
    }
  };
  const place = (node: unknown, keys: readonly string[], depth: number, key?: Node): void => {
    if (++values > MAX_VALUES) throw new Error(TOO_MANY);
    const offset = (key ?? (node as Node | null))?.range?.[0] ?? 0;
    sources.set(pathOf(keys), sourceAt(offset));
    walk(node, keys, depth + 1);
  };
  walk(document.contents, [], 0);
  return sources;
}

/**
 * Reads a YAML file that a user names.
 *
 * @param what part of the program that wants it, which the error begins with where it cannot be read
 * @param path place of the file, where that is not its name
 * @throws CONFIG_INVALID naming the file, and the line of what is wrong
 */
export async function readYaml(
  what: string,
  file: string,
  path = file,
): Promise<Omit<SourcedValue, 'issues'>> {
  // More than `parseYaml` takes of any text: a character has four bytes at most.
  const text = await readText(path, 4 * MAX_CHARACTERS).catch((cause: unknown) => {
    const message = `${what}: cannot read ${file}: ${refusalText(cause)}`;
    throw new CxmindError('CONFIG_INVALID', message, { cause, detail: { file } });
  });
  const { issues, ...read } = parseYaml(text, { file });
  if (issues.length > 0) throw configInvalid(issues);
  return read;
}

/** A plain tree as YAML: keys in alphabetical order, two spaces a level, no line feed at the end. */
export function toYaml(tree: Readonly<Record<string, unknown>>): string {
  return stringify(tree, { sortMapEntries: true, lineWidth: 0 }).trimEnd();
}
