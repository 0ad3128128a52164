/** Rows of JSON and JSON Lines files. A line of the latter can be read again alone, by its place in the file. */
import type { FileHandle } from 'node:fs/promises';
import { asMapping } from '../check/codec.ts';
import { asCxmindError, attempt, CxmindError } from '../errors.ts';
import { checkWholeSize } from '../files.ts';
import {
  brokenRow,
  chunksOf,
  openDataFile,
  unreadable,
  type ByteRange,
  type RawRow,
} from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Longest line, 256 MiB. A line may hold pictures as base64. */
const MAX_LINE_BYTES = 2 ** 28;

/**
 * Rows of a JSONL file, or of a JSON file that is one array or one object whose `data` is an array.
 *
 * The content decides which of these a file is, not its name. A line that is not JSON becomes a row with a
 * `problem`. Blank lines are skipped.
 *
 * @throws DATA_INVALID if the file cannot be read, its array does not parse, or its one object has no rows
 */
export async function* jsonRows(source: DataFile): AsyncGenerator<RawRow> {
  const { path: file, name } = source;
  await using handle = await openDataFile(file);
  const whole = await wholeValue(handle, file);
  if (whole !== undefined) {
    for (const [index, value] of rowsIn(whole, file).entries()) {
      yield { file, name, line: index + 1, value };
    }
    return;
  }
  let line = 0;
  let start = 0;
  for await (const bytes of linesOf(handle, file)) {
    const row = lineRow(source, ++line, bytes);
    if (row !== null) yield { ...row, range: { start, bytes: bytes.length } };
    start += bytes.length + 1;
  }
}

/**
 * Row of a line of a JSONL file that was read before.
 *
 * @throws DATA_INVALID if the file cannot be read
 */
export async function jsonRowAt(
  source: DataFile,
  line: number,
  { start, bytes }: ByteRange,
): Promise<RawRow> {
  await using handle = await openDataFile(source.path);
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(bytes), 0, bytes, start);
  const row = bytesRead === bytes ? lineRow(source, line, buffer) : null;
  return row ?? brokenRow(source, line, 'the line is no longer there');
}

/** Row of a line; null if it is blank. */
function lineRow(source: DataFile, line: number, bytes: Uint8Array): RawRow | null {
  try {
    const text = textOf(bytes);
    const { path: file, name } = source;
    return text === '' ? null : { file, name, line, value: parseJson(text) };
  } catch (cause) {
    // The engine counts a line of its own, and columns behind the white space that was trimmed.
    const whole = Buffer.from(bytes).toString();
    const lead = whole.length - whole.trimStart().length;
    const reason = asCxmindError(cause).message.replace(
      / in JSON at position \d+ \(line 1 column (\d+)\)/,
      (_, column) => ` at column ${Number(column) + lead}`,
    );
    return brokenRow(source, line, `not JSON: ${reason}`, cause);
  }
}

/** Array or object that is the whole file; undefined if each line has a value of its own. */
async function wholeValue(handle: FileHandle, file: string): Promise<unknown> {
  const head = Buffer.alloc(4096);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  // White space that is trimmed includes a byte order mark.
  const [begin] = head.toString('utf8', 0, bytesRead).trimStart();
  if (begin === '[') return parseWhole(handle, file);
  if (begin !== '{') return undefined;
  const [first, second] = await firstLines(handle, file);
  const value = attempt(() => parseJson(first!));
  if (value === null) return parseWhole(handle, file).catch(() => undefined);
  return second === undefined && Array.isArray(asMapping(value)?.['data']) ? value : undefined;
}

async function parseWhole(handle: FileHandle, file: string): Promise<unknown> {
  try {
    checkWholeSize(await handle.stat());
    return parseJson(textOf(await handle.readFile()));
  } catch (cause) {
    throw unreadable(file, 'not a JSON array', cause);
  }
}

function rowsIn(whole: unknown, file: string): readonly unknown[] {
  const data = asMapping(whole)?.['data'] ?? whole;
  if (Array.isArray(data)) return data;
  const keys = Object.keys(whole as object).join(', ');
  throw new CxmindError(
    'DATA_INVALID',
    `${file}: one JSON object (${keys}), expected an array of rows, {"data": [rows]}, or a row a line`,
    { detail: { file } },
  );
}

/** @throws TypeError for bytes that are not UTF-8 */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim();
}

/** First two lines that are not blank. */
async function firstLines(handle: FileHandle, file: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const bytes of linesOf(handle, file)) {
    const text = Buffer.from(bytes).toString().trim();
    if (text !== '') lines.push(text);
    if (lines.length === 2) break;
  }
  return lines;
}

/**
 * Bytes between line feeds.
 *
 * `node:readline` and `split2` decode text before they split it. Invalid UTF-8 would pass as U+FFFD, and readline also
 * breaks at U+2028, which JSON may hold.
 */
async function* linesOf(handle: FileHandle, file: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of chunksOf(handle)) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]);
      rest = [];
      restBytes = 0;
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
    restBytes += chunk.length - start;
    if (restBytes > MAX_LINE_BYTES) {
      throw unreadable(file, 'not JSON Lines', `a line of more than ${MAX_LINE_BYTES} bytes`);
    }
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield last;
}

/**
 * Parses JSON that may hold NaN and infinities, as Python writes them. NaN becomes null, infinities are kept.
 *
 * @throws SyntaxError
 */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const plain = withoutNonFinite(text);
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}

/** JSON text with null for NaN, and for an infinity a number that is too large for a double. */
function withoutNonFinite(text: string): string {
  let isInString = false;
  return text.replace(/\\.|"|NaN|Infinity/gs, (token) => {
    if (token === '"') isInString = !isInString;
    if (isInString) return token;
    return token === 'NaN' ? 'null' : token.replace('Infinity', '1e999');
  });
}
