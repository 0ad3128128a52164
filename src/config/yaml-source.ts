import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Node,
  type ScalarTag,
  type Tags,
} from 'yaml';
import { pathOf, type Issue } from './issues.ts';
import { YamlFloat } from './yaml-float.ts';

/** A parsed YAML text, where each of its values was written, and what was wrong with it. */
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

/**
 * Reads YAML 1.2 with merge keys; a key that is repeated is an error. Only the first syntax error is
 * told: those after it are mostly its echoes.
 *
 * @param origin names the text in issues: a file, whose lines are then told, or a command-line item
 */
export function parseYaml(
  text: string,
  origin: { readonly file: string } | { readonly item: string },
): SourcedValue {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    merge: true,
    prettyErrors: false,
    customTags: keepFloats,
  });
  const sourceAt = (offset: number): string =>
    'file' in origin ? `${origin.file}:${lineCounter.linePos(offset).line}` : origin.item;
  const issues = document.errors.slice(0, 1).map((error): Issue => {
    const name = 'file' in origin ? origin.file : origin.item;
    return { path: name, expected: error.message, source: sourceAt(error.pos[0]) };
  });
  const sources = new Map<string, string>();
  const walk = (node: unknown, keys: readonly string[]): void => {
    if (isAlias(node)) {
      walk(node.resolve(document), keys);
      return;
    }
    if (isSeq(node)) node.items.forEach((item, index) => place(item, [...keys, String(index)]));
    if (!isMap(node)) return;
    const isMerge = ({ key }: { key: unknown }): boolean => isScalar(key) && key.source === '<<';
    node.items.filter(isMerge).forEach(({ value }) => walk(value, keys));
    for (const { key, value } of node.items.filter((pair) => !isMerge(pair))) {
      place(value, [...keys, String(isScalar(key) ? key.value : key)], key as Node);
    }
  };
  const place = (node: unknown, keys: readonly string[], key?: Node): void => {
    const offset = (key ?? (node as Node | null))?.range?.[0] ?? 0;
    sources.set(pathOf(keys), sourceAt(offset));
    walk(node, keys);
  };
  walk(document.contents, []);
  return { value: issues.length > 0 ? null : (document.toJS() as unknown), sources, issues };
}
