import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CxmindError, fromWireError } from '../errors.ts';
import type { RowBatch } from './columnar-entry.ts';
import { openDataFile, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Extension of modules: `.ts` in the sources, `.js` in `dist`. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const ENTRY = new URL(`./columnar-entry${extension}`, import.meta.url);

/** Longest wait for a batch of a small file, which takes milliseconds. */
const LIMIT_MS = 5_000;
/** Longer wait for each byte. A file that is one batch is read at ten megabytes a second or more. */
const LIMIT_MS_PER_BYTE = 1e-3;

/**
 * Thread that reads Parquet and Arrow files.
 *
 * The readers trust the counts and offsets in a file, so a corrupt file may make them loop or take memory without
 * end. A thread can be ended. This one is, when no rows come for longer than any sound file takes.
 */
export class ColumnarThread implements AsyncDisposable {
  readonly #limitMs: number;
  #worker: Worker | null = null;

  /** @param limitMs longest wait for a batch of an empty file; larger files get more */
  constructor(limitMs = LIMIT_MS) {
    this.#limitMs = limitMs;
  }

  /**
   * Rows of a file.
   *
   * @throws DATA_INVALID if it cannot be read, or takes too long or too much memory
   */
  async *rows(file: DataFile): AsyncGenerator<RawRow> {
    const { path } = file;
    const limitMs = Math.ceil(this.#limitMs + LIMIT_MS_PER_BYTE * (await sizeOf(path)));
    try {
      const worker = (this.#worker ??= new Worker(ENTRY));
      worker.postMessage(file);
      // The reader is loaded, which takes what time it takes.
      await once(worker, 'message');
      for (;;) {
        worker.postMessage('next');
        const signal = AbortSignal.timeout(limitMs);
        const [batch] = (await once(worker, 'message', { signal })) as [RowBatch];
        const { rows, problem, isLast } = batch;
        yield* rows;
        if (problem !== undefined) throw fromWireError(problem);
        if (isLast) return;
      }
    } catch (cause) {
      if (cause instanceof CxmindError) throw cause;
      await this[Symbol.asyncDispose]();
      const isLate = cause instanceof Error && cause.name === 'AbortError';
      const why = isLate
        ? `no rows came for ${Math.round(limitMs / 1000)} s, it is corrupt`
        : cause;
      throw unreadable(path, 'cannot be read', why);
    } finally {
      // Whoever asked may have stopped early: the file is closed.
      this.#worker?.postMessage('close');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = null;
  }
}

async function sizeOf(path: string): Promise<number> {
  await using handle = await openDataFile(path);
  return (await handle.stat()).size;
}
