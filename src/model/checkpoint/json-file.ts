import * as t from 'io-ts';

import { CxmindError } from '../../errors.ts';
import { readWhole } from '../../files.ts';

/** One field that did not decode: `text_config.hidden_size: expected number, got "64"`. */
function describe(error: t.ValidationError): string {
  const path = error.context
    .map((entry) => entry.key)
    .filter((key) => key !== '' && !/^\d+$/.test(key))
    .join('.');
  const expected = error.context.at(-1)?.type.name ?? 'another value';
  const got = error.value === undefined ? 'nothing' : JSON.stringify(error.value);
  return `${path === '' ? 'the whole file' : path}: expected ${expected}, got ${got}`;
}

/** Decodes a JSON value read from `file`; one error names the file and every field that is wrong. */
export function decodeJson<C extends t.Mixed>(codec: C, value: unknown, file: string): t.TypeOf<C> {
  const result = codec.decode(value);
  if (result._tag === 'Right') return result.right as t.TypeOf<C>;
  const issues = [...new Set(result.left.map(describe))];
  throw new CxmindError('CHECKPOINT_INVALID', `${file}: ${issues.join('; ')}`, {
    detail: { file, issues },
  });
}

/**
 * Reads and decodes a JSON file of a checkpoint.
 *
 * @throws CHECKPOINT_INVALID naming the file when it is missing, is not JSON, or a field is wrong
 */
export async function readJson<C extends t.Mixed>(codec: C, file: string): Promise<t.TypeOf<C>> {
  let value: unknown;
  try {
    value = JSON.parse((await readWhole(file)).toString());
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CxmindError('CHECKPOINT_INVALID', `${file} ${reason}: ${message}`, {
      cause,
      detail: { file },
    });
  }
  return decodeJson(codec, value, file);
}

/** A whole number of at least `low`, and of at most `high` where that is given. */
export function wholeFrom(low: number, high = Infinity): t.Type<number> {
  const is = (value: unknown): value is number =>
    Number.isSafeInteger(value) && Number(value) >= low && Number(value) <= high;
  return new t.Type(
    high === Infinity ? `a whole number >= ${low}` : `a whole number from ${low} to ${high}`,
    is,
    (value, context) => (is(value) ? t.success(value) : t.failure(value, context)),
    t.identity,
  );
}

/** A finite number above zero. */
export const positive: t.Type<number> = (() => {
  const is = (value: unknown): value is number => Number.isFinite(value) && Number(value) > 0;
  return new t.Type(
    'a number > 0',
    is,
    (value, context) => (is(value) ? t.success(value) : t.failure(value, context)),
    t.identity,
  );
})();
