/** JSON files and JSON texts, read by codecs. */
import { isRight } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { CxmindError, messageOf } from '../errors.ts';
import { readWhole, readWholeSync } from '../files.ts';
import { decodeOrThrow, formatIssue } from './issues.ts';

/**
 * The value of a JSON file of a checkpoint.
 *
 * @throws CHECKPOINT_INVALID naming the file when it is missing, is not JSON, or a field is wrong
 */
export async function readJson<A>(codec: t.Type<A, unknown>, file: string): Promise<A> {
  const text = await readWhole(file).then(String, (cause: unknown) => {
    throw invalid(file, messageOf(cause), cause);
  });
  return decodeJson(codec, parse(text, file), file);
}

/** `readJson` on the calling thread. */
export function readJsonSync<A>(codec: t.Type<A, unknown>, file: string): A {
  let text: string;
  try {
    text = readWholeSync(file).toString();
  } catch (cause) {
    throw invalid(file, messageOf(cause), cause);
  }
  return decodeJson(codec, parse(text, file), file);
}

/**
 * A JSON value as its codec reads it.
 *
 * @throws CHECKPOINT_INVALID naming the file and every field that is wrong
 */
export function decodeJson<A>(codec: t.Type<A, unknown>, json: unknown, file: string): A {
  return decodeOrThrow(codec, json, (found) => {
    const issues = found.map(formatIssue);
    const message = `${file}: ${issues.join('; ')}`;
    return new CxmindError('CHECKPOINT_INVALID', message, { detail: { file, issues } });
  });
}

/** The value of a JSON text; undefined where it is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The value of a JSON file as `codec` reads it; undefined where there is no such file, or another value in it. */
export async function jsonIn<A>(codec: t.Type<A, unknown>, file: string): Promise<A | undefined> {
  const text = await readWhole(file).then(String, () => '');
  const result = codec.decode(parsedJson(text));
  return isRight(result) ? result.right : undefined;
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(file, `not JSON: ${messageOf(cause)}`, cause);
  }
}

function invalid(file: string, reason: string, cause: unknown): CxmindError {
  const message = `${file}: ${reason}`;
  return new CxmindError('CHECKPOINT_INVALID', message, { cause, detail: { file } });
}
