import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { pathOf, shown } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';
import { fromChatRecord } from './chat-record.ts';
import type { RawRow } from './json-rows.ts';

/** Where a row's parts stand. */
export interface RowKeys {
  readonly promptKey: string;
  readonly answerKey: string;
  readonly imageKey: string;
  readonly videoKey: string;
}

/** An image of a row: a path, or the bytes of a file, base64 in the JSON. */
export type ImageReference = string | { readonly bytes: Uint8Array };

/** A checked row of a data set. */
export interface DatasetRow {
  readonly file: string;
  /** Line of a JSONL file, or place in a JSON array; from 1. */
  readonly line: number;
  /** The prompt with an `<image>` marker for every image. */
  readonly prompt: string;
  /** The reference answer. */
  readonly answer: string;
  /** Null when the row has no image column. */
  readonly images: readonly ImageReference[] | null;
  /** The whole row, other columns included. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const base64 = new t.Type<string>(
  'base64 text',
  t.string.is,
  (value, context) =>
    typeof value === 'string' && /^[\w+/-]+={0,2}$/.test(value)
      ? t.success(value)
      : t.failure(value, context),
  t.identity,
);

/** An entry of the image column. */
const ImageEntry = t.union(
  [t.string, t.type({ bytes: base64 }), t.type({ path: t.string })],
  'a path, {"path": …} or {"bytes": base64}',
);
const ImageList = t.array(ImageEntry, 'a list of images');

/** The error of one field of a row: `train.jsonl:17: answer: expected string, got 3`. */
export function rowError(
  row: { readonly file: string; readonly line: number },
  field: string,
  reason: string,
  cause?: unknown,
): CxmindError {
  return new CxmindError('DATA_INVALID', `${row.file}:${row.line}: ${field}: ${reason}`, {
    detail: { file: row.file, line: row.line, field },
    cause,
  });
}

/**
 * Checks a raw row.
 *
 * @throws DATA_INVALID naming file, line and the first field that is wrong
 */
export function decodeRow(raw: RawRow, keys: RowKeys): DatasetRow {
  if (raw.problem !== undefined) throw raw.problem;
  const { file, line, value } = raw;
  if (!t.UnknownRecord.is(value) || Array.isArray(value)) {
    throw new CxmindError(
      'DATA_INVALID',
      `${file}:${line}: expected an object, got ${shown(value)}`,
      {
        detail: { file, line },
      },
    );
  }
  const columns = fromChatRecord(value, keys);
  const videos = columns[keys.videoKey];
  if (Array.isArray(videos) && videos.length > 0) {
    throw rowError(raw, keys.videoKey, 'videos are not supported');
  }
  const hasImages = columns[keys.imageKey] !== undefined;
  return {
    file,
    line,
    prompt: decodeField(t.string, columns, keys.promptKey, raw),
    answer: decodeField(t.string, columns, keys.answerKey, raw),
    images: hasImages
      ? decodeField(ImageList, columns, keys.imageKey, raw).map(imageReference)
      : null,
    fields: value,
  };
}

/** One field through its codec. */
export function decodeField<C extends t.Mixed>(
  codec: C,
  fields: Readonly<Record<string, unknown>>,
  key: string,
  where: { readonly file: string; readonly line: number },
): t.TypeOf<C> {
  if (!(key in fields)) {
    const present = Object.keys(fields).join(', ');
    throw rowError(where, key, `missing; the row has ${present === '' ? 'no fields' : present}`);
  }
  const result = codec.decode(fields[key]);
  if (!isLeft(result)) return result.right as t.TypeOf<C>;
  const [error] = result.left;
  const steps = error?.context.map((entry) => entry.key).filter((step) => step !== '') ?? [];
  // Of a union's branches none is the one that was meant: the entry as a whole is named instead.
  const isEntry = codec instanceof t.ArrayType && steps.length > 0;
  const path = isEntry ? pathOf([key, steps[0]!]) : key;
  const expected = isEntry ? error!.context[1]!.type.name : codec.name;
  const got: unknown = isEntry ? error!.context[1]!.actual : fields[key];
  throw rowError(where, path, `expected ${expected}, got ${shown(got)}`);
}

function imageReference(entry: t.TypeOf<typeof ImageEntry>): ImageReference {
  if (typeof entry === 'string') return entry;
  return 'bytes' in entry ? { bytes: Buffer.from(entry.bytes, 'base64') } : entry.path;
}
