/** Issues: everything that is wrong with an input, told at once, one line a value. */
import { isRight } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError } from '../errors.ts';
import { asMapping, isUnknownKey, keyPaths, unwrapped } from './codec.ts';
import { nearestKey, nearestOf } from './nearest.ts';
import { OneOfType, YamlFloat } from './scalars.ts';

/** One thing that is wrong with an input, in the spelling of its file. */
export interface Issue {
  /** Dotted path of the key, `worker.actor.clip_ratio_low`. */
  readonly path: string;
  /** Values that the key takes, or the rule that was broken. */
  readonly expected: string;
  /** The value that came; absent where the rule already says it. */
  readonly got?: string;
  /** The valid key or word that was probably meant. */
  readonly nearest?: string;
  /** Place where the value was written: `configs/x.yaml:12` or the command-line item. */
  readonly source?: string;
}

/** Finds where the value at a dotted path was written, if it was written at all. */
export type SourceOf = (path: string) => string | undefined;

/** Longer lists are shown by their length. */
const MAX_SHOWN_ITEMS = 100;

/** A value as an error shows it: JSON, cut short. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value instanceof YamlFloat) return value.source;
  if (typeof value === 'number') return String(value);
  if (asMapping(value) !== undefined) return 'a mapping';
  if (Array.isArray(value) && value.length > MAX_SHOWN_ITEMS) return `a list of ${value.length}`;
  const json = (JSON.stringify(value, plain) as string | undefined) ?? typeof value;
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}

/** Replacer for `JSON.stringify` of what JSON cannot write, or would write number by number. */
function plain(_key: string, value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  return typeof value === 'bigint' ? String(value) : value;
}

/** A dotted path from the keys that lead to a value; list positions stand in brackets. */
export function pathOf(keys: readonly string[]): string {
  return keys.reduce((path, key) => {
    if (/^\d+$/.test(key)) return `${path}[${key}]`;
    return path === '' ? key : `${path}.${key}`;
  }, '');
}

/** Reads a value with a codec. @throws what `errorOf` makes of everything that is wrong with it */
export function decodeOrThrow<A>(
  codec: t.Type<A, unknown>,
  value: unknown,
  errorOf: (issues: readonly Issue[]) => Error,
): A {
  const result = codec.decode(value);
  if (isRight(result)) return result.right;
  throw errorOf(issuesOf(codec, result.left));
}

/** Everything that decoding found wrong, one issue a value, stray keys included. */
export function issuesOf(
  codec: t.Mixed,
  errors: t.Errors,
  sourceOf: SourceOf = () => undefined,
): Issue[] {
  const meant = errors.filter((error) => !isNullBranch(error));
  const issues = meant.map((error): Issue => {
    const context = meantContext(error, meant);
    const path = pathOf(keysOf(context));
    const source = sourceOf(path);
    const where = source === undefined ? {} : { source };
    if (isUnknownKey(error)) {
      const nearest = nearestKey(path.replace(/\[\d+\]/g, '[]'), keyPaths(codec));
      return { path, expected: 'a known key', ...(nearest && { nearest }), ...where };
    }
    const { actual, type } = context.at(-1)!;
    const nearest = nearestWord(type as t.Mixed, actual);
    return { path, expected: type.name, got: shown(actual), ...(nearest && { nearest }), ...where };
  });
  const isFirst = (issue: Issue, index: number): boolean =>
    issues.findIndex(({ path, expected }) => path === issue.path && expected === issue.expected) ===
    index;
  return issues.filter(isFirst);
}

/** Tells whether an error is about null or undefined as a branch of a union, which another branch stands for. */
function isNullBranch({ context }: t.ValidationError): boolean {
  const [parent, last] = context.slice(-2).map(({ type }) => type);
  return (
    parent instanceof t.UnionType && (last instanceof t.NullType || last instanceof t.UndefinedType)
  );
}

/**
 * The way to the value that an error is about: it ends at a union whose branches all failed.
 *
 * None of the branches is the one that was meant. Of a union with tags io-ts tries only one, which is followed.
 */
function meantContext({ context }: t.ValidationError, errors: t.Errors): readonly t.ContextEntry[] {
  const end = context.findIndex(
    (entry, at) =>
      entry.type instanceof t.UnionType &&
      errors.some(
        ({ context: other }) =>
          other[at]?.type === entry.type &&
          other[at].actual === entry.actual &&
          other[at + 1]?.key !== context[at + 1]?.key,
      ),
  );
  return end < 0 ? context : context.slice(0, end + 1);
}

/** The keys of a context without the numbers that io-ts gives to the members of an intersection and a union. */
function keysOf(context: readonly t.ContextEntry[]): string[] {
  return context.flatMap(({ key }, at) => {
    const parent = context[at - 1]?.type;
    const isMember = parent instanceof t.IntersectionType || parent instanceof t.UnionType;
    return key === '' || isMember ? [] : [key];
  });
}

function nearestWord(type: t.Mixed, value: unknown): string | undefined {
  const inner = unwrapped(type);
  if (typeof value !== 'string' || !(inner instanceof OneOfType)) return undefined;
  return nearestOf(value, (inner.values as readonly (string | number)[]).map(String));
}

/** One line for people: path, what was expected, what came, the nearest valid key, the source. */
export function formatIssue(issue: Issue): string {
  const place = issue.path === '' ? '' : `${issue.path}: `;
  const source = issue.source === undefined ? '' : ` (${issue.source})`;
  if (issue.expected === 'a known key') {
    const nearest = issue.nearest === undefined ? '' : `, nearest valid key: ${issue.nearest}`;
    return `${place}unknown key${nearest}${source}`;
  }
  const got = issue.got === undefined ? '' : `, got ${issue.got}`;
  const meant = issue.nearest === undefined ? '' : `, did you mean ${issue.nearest}?`;
  const rule = issue.got === undefined ? issue.expected : `expected ${issue.expected}`;
  return `${place}${rule}${got}${meant}${source}`;
}

/** The error that reports all issues at once, one a line. */
export function configInvalid(issues: readonly Issue[]): CxmindError {
  return new CxmindError('CONFIG_INVALID', issues.map(formatIssue).join('\n'), {
    detail: { issues },
  });
}
