import { createReadStream } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { brokenRow, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/**
 * The rows of a JSONL file, or of a JSON file that is one array.
 *
 * A line that is not JSON becomes a row with a `problem`; blank lines are passed over. Which of the
 * two forms a file has is told by its first character, not by its name.
 *
 * @throws DATA_INVALID when the file cannot be read, or an array does not parse
 */
export async function* jsonRows(source: DataFile): AsyncGenerator<RawRow> {
  const { path: file, name } = source;
  if (await beginsWithBracket(file)) {
    for (const [index, value] of (await jsonArray(file)).entries()) {
      yield { file, name, line: index + 1, value };
    }
    return;
  }
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 0;
  for await (const bytes of linesOf(file)) {
    line++;
    try {
      const text = decoder.decode(bytes).trim();
      if (text !== '') yield { file, name, line, value: JSON.parse(text) as unknown };
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      yield brokenRow(source, line, `not JSON: ${reason}`, cause);
    }
  }
}

async function beginsWithBracket(file: string): Promise<boolean> {
  const head = Buffer.alloc(4096);
  try {
    await using handle = await open(file);
    const { bytesRead } = await handle.read(head, 0, head.length, 0);
    const text = head.toString('utf8', 0, bytesRead).replace(/^\uFEFF/, '');
    return text.trimStart().startsWith('[');
  } catch (cause) {
    throw unreadable(file, 'cannot be read', cause);
  }
}

async function jsonArray(file: string): Promise<unknown[]> {
  try {
    const text = await readFile(file, 'utf8');
    return JSON.parse(text.replace(/^\uFEFF/, '')) as unknown[];
  } catch (cause) {
    throw unreadable(file, 'not a JSON array', cause);
  }
}

/** The bytes between line feeds; Node's own line reader also breaks at U+2028, which JSON may hold. */
async function* linesOf(file: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...rest, chunk.subarray(start, end)]);
      rest = [];
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield last;
}
