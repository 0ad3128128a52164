/**
 * Whole lines of a file that grows, each read once.
 *
 * The reader keeps its place in bytes. A last line without its line feed is kept in memory until the rest comes. A file
 * that was replaced, as a resumed run does with its metrics, or that became shorter, is read anew.
 */
import { open, stat, type FileHandle } from 'node:fs/promises';
import { asMapping } from '../../check/codec.ts';
import { parsedJson } from '../../check/json.ts';
import { isSystemError } from '../../errors.ts';
import { Turns } from '../../turns.ts';

const CHUNK_BYTES = 2 ** 20;
const LINE_FEED = 10;
const NONE = Buffer.alloc(0);

export abstract class LineTail {
  readonly file: string;
  readonly #turns = new Turns();
  #version = 0;
  /** Identity of the file; null before there is one. */
  #identity: string | null = null;
  /** Bytes that were read. */
  #size = 0;
  /** Beginning of a line whose end has not come. */
  #rest: Buffer = NONE;

  constructor(file: string) {
    this.file = file;
  }

  /** Rises with every reading that found something: new lines, or another file. */
  get version(): number {
    return this.#version;
  }

  /** Bytes of the file that were read. */
  get size(): number {
    return this.#size;
  }

  /** Takes a line without its line feed, and its place in bytes. Its bytes are only valid during the call. */
  protected abstract take(line: Buffer, offset: number): void;

  /** Forgets all lines, before the lines of another file come. */
  protected abstract forget(): void;

  /** Reads the lines that have come since the last reading, once earlier readings are over. */
  refresh(): Promise<void> {
    return this.#turns.run(() => this.#read());
  }

  async #read(): Promise<void> {
    const found = await stat(this.file).catch(() => null);
    const identity = found === null ? null : `${found.ino}:${found.birthtimeMs}`;
    const size = found?.size ?? 0;
    const isReplaced =
      this.#identity !== null && (identity !== this.#identity || size < this.#size);
    if (isReplaced) {
      this.#size = 0;
      this.#rest = NONE;
      this.#version++;
      this.forget();
    }
    this.#identity = identity;
    if (size === this.#size) return;
    await using handle = await open(this.file, 'r');
    if (await this.#readFrom(handle)) this.#version++;
  }

  /** Reads to the end of the file. @returns true if there was a whole line */
  async #readFrom(handle: FileHandle): Promise<boolean> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    let hasLine = false;
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, this.#size);
      if (bytesRead === 0) return hasLine;
      const start = this.#size - this.#rest.length;
      const fresh = chunk.subarray(0, bytesRead);
      const text = this.#rest.length === 0 ? fresh : Buffer.concat([this.#rest, fresh]);
      // Only the new bytes can have a line feed.
      let end = start;
      for (const line of wholeLines(text, start, this.#rest.length)) {
        this.take(line.text, line.offset);
        hasLine = true;
        end = line.end;
      }
      this.#rest = Buffer.from(text.subarray(end - start));
      this.#size += bytesRead;
    }
  }
}

/** A line of a part of a file, without its line feed. */
export interface WholeLine {
  readonly text: Buffer;
  /** Place in the file, in bytes. */
  readonly offset: number;
  /** Place behind its line feed. */
  readonly end: number;
}

/**
 * The lines of a part of a file that have their ends; the first one may lack its beginning.
 *
 * @param start    place of the part in the file
 * @param searched bytes of the part that are known to have no line feed
 */
export function* wholeLines(part: Buffer, start: number, searched = 0): Generator<WholeLine> {
  let from = 0;
  for (let at = part.indexOf(LINE_FEED, searched); at >= 0; at = part.indexOf(LINE_FEED, from)) {
    yield { text: part.subarray(from, at), offset: start + from, end: start + at + 1 };
    from = at + 1;
  }
}

/** Opens a file to read lines from; null for a file that is gone. */
export async function openedFile(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Reads some bytes of a file, fewer where it has no more. */
export async function bytesAt(
  handle: FileHandle,
  { offset, length }: { readonly offset: number; readonly length: number },
): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

/** The object that a line has as JSON; null for any other line, such as one that a crash cut off. */
export function objectOf(line: Buffer): Readonly<Record<string, unknown>> | null {
  return asMapping(parsedJson(line.toString())) ?? null;
}
