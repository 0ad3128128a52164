import type { FileHandle } from 'node:fs/promises';
import { asMapping } from '../config/codec.ts';
import { asCxmindError, CxmindError } from '../errors.ts';
import { checkWholeSize } from '../files.ts';
import { parseJson } from './json-text.ts';
import { chunksOf, openDataFile } from './open-file.ts';
import { brokenRow, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** The longest line, 256 MiB: pictures stand in lines as base64. */
const MAX_LINE_BYTES = 2 ** 28;

/**
 * The rows of a JSONL file, or of a JSON file that is one array, or one object whose `data` is one.
 *
 * A line that is not JSON becomes a row with a `problem`; blank lines are passed over. Which form a
 * file has is told by what is in it, not by its name.
 *
 * @throws DATA_INVALID when the file cannot be read, an array does not parse, or there is one object and no rows in it
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
  for await (const bytes of linesOf(handle, file)) {
    line++;
    try {
      const text = textOf(bytes);
      if (text !== '') yield { file, name, line, value: parseJson(text) };
    } catch (cause) {
      yield brokenRow(source, line, `not JSON: ${asCxmindError(cause).message}`, cause);
    }
  }
}

/** The one value that a file is, array or object; undefined where each line has its own. */
async function wholeValue(handle: FileHandle, file: string): Promise<unknown> {
  const head = Buffer.alloc(4096);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const [begin] = head
    .toString('utf8', 0, bytesRead)
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (begin === '[') return parseWhole(handle, file);
  if (begin !== '{') return undefined;
  const [first, second] = await firstLines(handle, file);
  if (!isJson(first!)) return parseWhole(handle, file).catch(() => undefined);
  const value = second === undefined ? parseJson(first!) : undefined;
  return isList(asMapping(value)?.['data']) ? value : undefined;
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
  if (isList(data)) return data;
  const keys = Object.keys(whole as object).join(', ');
  throw new CxmindError(
    'DATA_INVALID',
    `${file}: one JSON object (${keys}), expected an array of rows, {"data": [rows]}, or a row a line`,
    { detail: { file } },
  );
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}

/** @throws TypeError for bytes that are not UTF-8 */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim();
}

/** The first two lines that are not blank. */
async function firstLines(handle: FileHandle, file: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const bytes of linesOf(handle, file)) {
    const text = Buffer.from(bytes)
      .toString()
      .replace(/^\uFEFF/, '')
      .trim();
    if (text !== '') lines.push(text);
    if (lines.length === 2) break;
  }
  return lines;
}

/** The bytes between line feeds; Node's own line reader also breaks at U+2028, which JSON may hold. */
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
