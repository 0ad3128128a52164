/** Rows and fields as files hold them, decoded to checked rows. */
import * as t from 'io-ts';
import { decodeOrThrow, shown } from '../check/issues.ts';
import { parsedJson } from '../check/json.ts';
import { bytes, guarded } from '../check/scalars.ts';
import { CxmindError } from '../errors.ts';
import { localPath } from '../files.ts';
import { fromChatRecord } from './chat-record.ts';
import type { RawRow } from './raw-row.ts';
import {
  Answer,
  DATA_URL,
  rowError,
  type DatasetRow,
  type ImageReference,
  type RowKeys,
  type VideoReference,
} from './row.ts';

type Fields = Readonly<Record<string, unknown>>;

const isBase64 = (text: string): boolean => /^[\w+/-]+={0,2}$/.test(text);
/** URL of another machine: `https://…`, `s3://…`. Local files have no scheme, or `file`. */
const REMOTE = /^(?!file:)[a-z][a-z\d+.-]+:\/\//i;

const pathOrUrl = guarded('a path or data URL', (value): value is string => {
  if (typeof value !== 'string') return false;
  const [prefix = ''] = DATA_URL.exec(value) ?? [];
  return !value.startsWith('data:') || (prefix !== '' && isBase64(value.slice(prefix.length)));
});
type FileContent = string | Uint8Array;
const fileContent = guarded(
  'bytes, or base64 text',
  (value): value is FileContent =>
    value instanceof Uint8Array || (typeof value === 'string' && isBase64(value)),
);

/** Entry of the image column. A struct of a Parquet file has both keys, one of them null. */
const MediaEntry = t.union(
  [pathOrUrl, bytes, t.type({ bytes: fileContent }), t.type({ path: t.string })],
  'a path, {"path": …} or {"bytes": base64}',
);
const ImageList = t.array(MediaEntry, 'a list of images');
const VideoEntry = t.union(
  [MediaEntry, t.array(MediaEntry)],
  'a path, {"path": …}, {"bytes": base64} or a list of frames',
);
const VideoList = t.array(VideoEntry, 'a list of videos');

/**
 * Decodes a raw row, flat or a conversation.
 *
 * @throws DATA_INVALID naming file, line and the first field that is wrong
 */
export function decodeRow(raw: RawRow, keys: RowKeys): DatasetRow {
  if (raw.problem !== undefined) throw raw.problem;
  const { file, line, value } = raw;
  if (!t.UnknownRecord.is(value)) {
    const reason = `expected an object, got ${shown(value)}`;
    throw new CxmindError('DATA_INVALID', `${file}:${line}: ${reason}`, { detail: { file, line } });
  }
  const { columns, history } = fromChatRecord(value, keys, (field, reason) =>
    rowError(raw, field, reason),
  );
  const media = raw.isText ? { ...columns, ...listsIn(columns, keys) } : columns;
  const images = presentIn(media, keys.imageKey)
    ? decodeField(ImageList, media, keys.imageKey, raw).map((entry, index) =>
        imageReference(entry, raw, `${keys.imageKey}[${index}]`),
      )
    : null;
  const videos = presentIn(media, keys.videoKey) ? videosOf(media, keys, raw, images) : null;
  return {
    file,
    name: raw.name,
    line,
    prompt: decodeField(t.string, columns, keys.promptKey, raw),
    history,
    answer: decodeField(Answer, columns, keys.answerKey, raw),
    images,
    videos,
    fields: value,
  };
}

/** A table has every column in every row, so null means absent. */
function presentIn(fields: Fields, key: string): boolean {
  return fields[key] !== undefined && fields[key] !== null;
}

/** Videos of a row without an image column. A row that has one, even an empty one, is a row with images. */
function videosOf(
  fields: Fields,
  { imageKey, videoKey }: RowKeys,
  where: RawRow,
  images: readonly ImageReference[] | null,
): readonly VideoReference[] | null {
  if (images !== null) {
    const videos = fields[videoKey];
    if (!Array.isArray(videos) || videos.length === 0) return null;
    const reason = `a row with the column ${imageKey} is one with images; videos are not read from it`;
    throw rowError(where, videoKey, reason);
  }
  return decodeField(VideoList, fields, videoKey, where).map((entry, index) => {
    const field = `${videoKey}[${index}]`;
    return Array.isArray(entry)
      ? entry.map((frame, i) => imageReference(frame, where, `${field}[${i}]`))
      : imageReference(entry, where, field);
  });
}

/** Media columns of a CSV row as lists: a cell is a JSON list, one path, or empty. */
function listsIn(fields: Fields, { imageKey, videoKey }: RowKeys): Fields {
  const cells = [imageKey, videoKey].filter((key) => presentIn(fields, key));
  return Object.fromEntries(cells.map((key) => [key, listOf(String(fields[key]).trim())]));
}

function listOf(cell: string): unknown {
  if (!cell.startsWith('[')) return cell === '' ? [] : [cell];
  return parsedJson(cell) ?? cell;
}

/**
 * Decodes one field of a row.
 *
 * @throws DATA_INVALID naming the field, or the entry of its list, that is wrong
 */
export function decodeField<A>(
  codec: t.Type<A, unknown>,
  fields: Fields,
  key: string,
  where: { readonly file: string; readonly line: number },
): A {
  if (!(key in fields)) {
    const present = Object.keys(fields).join(', ');
    throw rowError(where, key, `missing; the row has ${present === '' ? 'no fields' : present}`);
  }
  return decodeOrThrow(codec, fields[key], ([issue]) => {
    const { path, expected, got } = issue!;
    return rowError(where, `${key}${path}`, `expected ${expected}, got ${got!}`);
  });
}

function imageReference(
  entry: t.TypeOf<typeof MediaEntry>,
  where: RawRow,
  field: string,
): ImageReference {
  if (entry instanceof Uint8Array) return { bytes: entry };
  if (typeof entry !== 'string') {
    const { bytes, path = '' }: Partial<MediaStruct> = entry;
    if (bytes === undefined || bytes === null) return pathReference(path, where, field);
    return { bytes: typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : bytes };
  }
  const prefix = DATA_URL.exec(entry)?.[0];
  if (prefix === undefined) return pathReference(entry, where, field);
  return { bytes: Buffer.from(entry.slice(prefix.length), 'base64') };
}

function pathReference(text: string, where: RawRow, field: string): string {
  if (REMOTE.test(text)) {
    const reason = `expected a file of this machine, got ${shown(text)}: nothing is fetched; download it, and give its path`;
    throw rowError(where, field, reason);
  }
  return localPath(text);
}

/** Entry that is neither text nor bytes. The key that is not used may be null. */
interface MediaStruct {
  readonly bytes: FileContent | null;
  readonly path: string;
}
