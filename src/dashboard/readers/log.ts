/**
 * Pages of a run's `cxmind.log`, and its warnings.
 *
 * A log has one JSON object a line, as `src/log.ts` writes it. A page is read from a place in bytes, forwards or
 * backwards, so a log of any size is opened at its end at once. A page reads a bounded number of bytes, so it may have
 * fewer lines than it was asked for where most lines are of lower levels.
 */
import { open, stat, type FileHandle } from 'node:fs/promises';
import type { LogLevel, LogLine, LogPage, Warning } from '../api.ts';
import { logLevels } from '../page/log-levels.ts';
import { bytesAt, LineTail, objectOf, wholeLines, type WholeLine } from './line-tail.ts';

const CHUNK_BYTES = 256 * 2 ** 10;
/** Bytes that one page reads at most. */
const MOST_BYTES = 16 * 2 ** 20;
const KEPT_WARNINGS = 100;

/** A part of a log. */
export interface LogQuery {
  /** Place before which the lines begin, the nearest ones first; the end of the file by default. */
  readonly before?: number | undefined;
  /** Place from which the lines begin; it replaces `before`. */
  readonly after?: number | undefined;
  readonly count: number;
  /** Lowest level. */
  readonly level: LogLevel;
}

/** Reads a page of a log; one without lines where there is no log. */
export async function logPage(file: string, query: LogQuery): Promise<LogPage> {
  const size = (await stat(file).catch(() => null))?.size ?? 0;
  if (size === 0) return { lines: [], before: null, after: 0 };
  await using handle = await open(file, 'r');
  const { after, before = size } = query;
  return after === undefined
    ? await pageBefore(handle, Math.min(before, size), query)
    : await pageAfter(handle, Math.min(after, size), size, query);
}

async function pageAfter(
  handle: FileHandle,
  start: number,
  size: number,
  { count, level }: LogQuery,
): Promise<LogPage> {
  const lines: LogLine[] = [];
  let at = start;
  let step = CHUNK_BYTES;
  while (lines.length < count && at < size && at - start < MOST_BYTES) {
    const found = await linesIn(handle, at, Math.min(size, at + step));
    if (found.length === 0) {
      // The rest of the line has not come, or it is longer than a chunk.
      if (at + step >= size) break;
      step *= 2;
      continue;
    }
    for (const { text, offset, end } of found) {
      if (lines.length === count) break;
      at = end;
      const line = lineOf(text, offset);
      if (line !== null && isAtLeast(line, level)) lines.push(line);
    }
  }
  return { lines, before: start === 0 ? null : start, after: at };
}

async function pageBefore(
  handle: FileHandle,
  end: number,
  { count, level }: LogQuery,
): Promise<LogPage> {
  let lines: LogLine[] = [];
  let at = end;
  let after: number | null = null;
  let step = CHUNK_BYTES;
  while (lines.length < count && at > 0 && end - at < MOST_BYTES) {
    const start = Math.max(0, at - step);
    const found = (await linesIn(handle, start, at)).slice(start === 0 ? 0 : 1);
    if (found.length === 0) {
      // A part of a line, whose beginning is further up.
      if (start === 0) at = 0;
      step *= 2;
      continue;
    }
    // A last line without its end belongs to the page behind this one.
    after ??= found.at(-1)!.end;
    const kept = found.flatMap(({ text, offset }): LogLine[] => {
      const line = lineOf(text, offset);
      return line !== null && isAtLeast(line, level) ? [line] : [];
    });
    lines = [...kept, ...lines];
    at = found[0]!.offset;
  }
  const page = lines.slice(Math.max(0, lines.length - count));
  const before = page.length < lines.length ? page[0]!.offset : at;
  return { lines: page, before: before === 0 ? null : before, after: after ?? at };
}

async function linesIn(handle: FileHandle, offset: number, end: number): Promise<WholeLine[]> {
  return [...wholeLines(await bytesAt(handle, { offset, length: end - offset }), offset)];
}

/** The event of a line; null for a line that has none. */
function lineOf(text: Buffer, offset: number): LogLine | null {
  const event = objectOf(text);
  if (event === null) return null;
  const { time, level, msg, ...fields } = event;
  const at = typeof time === 'string' ? Date.parse(time) : NaN;
  return {
    offset,
    time: Number.isNaN(at) ? null : at,
    level: logLevels.find((one) => one === level) ?? 'info',
    event: typeof msg === 'string' ? msg : '',
    fields,
  };
}

function isAtLeast(line: LogLine, level: LogLevel): boolean {
  return logLevels.indexOf(line.level) >= logLevels.indexOf(level);
}

/** The newest warnings and errors of a log. */
export class WarningList extends LineTail {
  /** The newest last. */
  readonly warnings: Warning[] = [];

  protected override take(line: Buffer, offset: number): void {
    // Most lines are not parsed.
    if (!line.includes('"level":"warn"') && !line.includes('"level":"error"')) return;
    const event = lineOf(line, offset);
    if (event === null || !isAtLeast(event, 'warn')) return;
    this.warnings.push({ time: event.time ?? 0, text: textOf(event) });
    if (this.warnings.length > KEPT_WARNINGS) this.warnings.shift();
  }

  protected override forget(): void {
    this.warnings.length = 0;
  }
}

/** An event in words: the text of a note, or the name of any other event with its fields. */
function textOf({ event, fields }: LogLine): string {
  const { text } = fields;
  if (event === 'note' && typeof text === 'string') return text;
  const { error, ...others } = fields;
  const reason =
    typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : '';
  const facts = Object.entries(others).map(([name, value]) =>
    typeof value === 'string' ? `${name} ${value}` : `${name} ${JSON.stringify(value)}`,
  );
  return [event, ...facts, reason].filter((part) => part !== '').join(', ');
}
