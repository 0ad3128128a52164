import type * as t from 'io-ts';
import { CxmindError } from '../errors.ts';
import { asMapping, isUnknownKey, keyPaths, OneOfType, unwrapped } from './codec.ts';
import { YamlFloat } from './yaml-float.ts';

/** One thing that is wrong with an input, in the spelling of the YAML file. */
export interface Issue {
  /** Dotted path of the key, `worker.actor.clip_ratio_low`. */
  readonly path: string;
  /** What the key takes, or the rule that was broken. */
  readonly expected: string;
  /** What came, absent where the rule already says it. */
  readonly got?: string;
  /** The valid key or word that was probably meant. */
  readonly nearest?: string;
  /** Where the value was written: `configs/x.yaml:12` or the command-line item. */
  readonly source?: string;
}

/** Where the value at a dotted path was written, if it was written at all. */
export type SourceOf = (path: string) => string | undefined;

/** Levenshtein distance: insertions, deletions and replacements that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

/** The candidate that `word` was probably meant to be: the nearest, where at most half of the letters differ. */
export function nearestOf(word: string, candidates: readonly string[]): string | undefined {
  const nearest = leastDistant(word, candidates);
  return nearest !== undefined && editDistance(word, nearest) <= word.length / 2
    ? nearest
    : undefined;
}

/** The candidate nearest to `word` by edit distance, the first of equals; undefined when there is none. */
function leastDistant(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('.') + 1);
const leafOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

/**
 * The valid key an unknown path probably means: a sibling spelt alike, else the same name in another
 * section, else the path that is near as a whole, if one is.
 */
export function nearestKey(path: string, paths: readonly string[]): string | undefined {
  const leaf = leafOf(path);
  const siblings = paths.filter((other) => parentOf(other) === parentOf(path)).map(leafOf);
  const sibling = leastDistant(leaf, siblings);
  if (sibling !== undefined && editDistance(leaf, sibling) <= Math.max(2, leaf.length / 3)) {
    return parentOf(path) + sibling;
  }
  const sameName = paths.filter((other) => leafOf(other) === leaf);
  return sameName.length > 0 ? leastDistant(path, sameName) : nearestOf(path, paths);
}

/** A value as an error shows it: JSON, cut short. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value instanceof YamlFloat) return value.source;
  if (typeof value === 'number') return String(value);
  if (asMapping(value) !== undefined) return 'a mapping';
  const json = JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}

/** A dotted path from the keys that lead to a value; list positions stand in brackets. */
export function pathOf(keys: readonly string[]): string {
  return keys.reduce((path, key) => {
    if (/^\d+$/.test(key)) return `${path}[${key}]`;
    return path === '' ? key : `${path}.${key}`;
  }, '');
}

/** Everything that decoding found wrong, one issue a value, stray keys included. */
export function issuesOf(codec: t.Mixed, errors: t.Errors, sourceOf: SourceOf): Issue[] {
  const paths = keyPaths(codec);
  return errors.map((error): Issue => {
    const path = pathOf(error.context.map(({ key }) => key).filter((key) => key !== ''));
    const source = sourceOf(path);
    const where = source === undefined ? {} : { source };
    if (isUnknownKey(error)) {
      const nearest = nearestKey(path.replace(/\[\d+\]/g, '[]'), paths);
      return {
        path,
        expected: 'a known key',
        ...(nearest === undefined ? {} : { nearest }),
        ...where,
      };
    }
    const type = error.context.at(-1)?.type as t.Mixed | undefined;
    const nearest = nearestWord(type, error.value);
    return {
      path,
      expected: error.message ?? type?.name ?? 'another value',
      got: shown(error.value),
      ...(nearest === undefined ? {} : { nearest }),
      ...where,
    };
  });
}

function nearestWord(type: t.Mixed | undefined, value: unknown): string | undefined {
  if (type === undefined || typeof value !== 'string') return undefined;
  const inner = unwrapped(type);
  if (!(inner instanceof OneOfType)) return undefined;
  return nearestOf(value, (inner.values as readonly (string | number)[]).map(String));
}

/** One line for people: path, what was expected, what came, the nearest valid key, the source. */
export function formatIssue(issue: Issue): string {
  const source = issue.source === undefined ? '' : ` (${issue.source})`;
  if (issue.expected === 'a known key') {
    const nearest = issue.nearest === undefined ? '' : `, nearest valid key: ${issue.nearest}`;
    return `${issue.path}: unknown key${nearest}${source}`;
  }
  const got = issue.got === undefined ? '' : `, got ${issue.got}`;
  const meant = issue.nearest === undefined ? '' : `, did you mean ${issue.nearest}?`;
  const rule = issue.got === undefined ? issue.expected : `expected ${issue.expected}`;
  return `${issue.path}: ${rule}${got}${meant}${source}`;
}

/** The error that reports all issues at once, one a line. */
export function configInvalid(issues: readonly Issue[]): CxmindError {
  return new CxmindError('CONFIG_INVALID', issues.map(formatIssue).join('\n'), {
    detail: { issues },
  });
}
