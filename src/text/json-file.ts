import { isLeft } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { formatIssue, issuesOf } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';
import { readWholeSync } from '../files.ts';

/**
 * Reads the object in a JSON file of a checkpoint.
 *
 * @throws CHECKPOINT_INVALID naming the file
 */
export function readJsonObject(path: string): object {
  try {
    const json: unknown = JSON.parse(readWholeSync(path).toString());
    if (typeof json === 'object' && json !== null) return json;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CxmindError('CHECKPOINT_INVALID', `${path}: ${reason}`, { cause });
  }
  throw new CxmindError('CHECKPOINT_INVALID', `${path}: expected an object`);
}

/**
 * Decodes what was read from a file.
 *
 * @throws CHECKPOINT_INVALID naming the file and every field that is wrong
 */
export function decoded<C extends t.Mixed>(codec: C, json: unknown, path: string): t.TypeOf<C> {
  const result = codec.decode(json);
  if (!isLeft(result)) return result.right as t.TypeOf<C>;
  const issues = issuesOf(codec, result.left, () => path);
  throw new CxmindError('CHECKPOINT_INVALID', issues.map(formatIssue).join('\n'));
}
