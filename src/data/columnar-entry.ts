/* Entry of the thread that `ColumnarThread` starts: reads a file's rows and posts them in batches. */
import { parentPort } from 'node:worker_threads';
import { toWireError, type WireError } from '../errors.ts';
import type { ReadOptions } from './parquet-rows.ts';
import type { RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** A file whose rows are wanted, or those of a part of it. */
export interface ReadRequest {
  readonly file: DataFile;
  readonly options: ReadOptions;
}

/** Rows that cross to the thread that asked for them. */
export interface RowBatch {
  readonly rows: readonly RawRow[];
  /** Error that ended the reading after these rows. */
  readonly problem?: WireError;
  readonly isLast: boolean;
}

/** Most rows of a batch. */
const MAX_ROWS = 256;
/** Most bytes of a batch, but for its last row: rows with pictures are large. */
const MAX_BYTES = 2 ** 24;

/** Loads the reader of the file's format alone: the other would take longer to load than a small file to read. */
async function rowsOf({ file, options }: ReadRequest): Promise<AsyncGenerator<RawRow>> {
  if (file.format !== 'parquet') return (await import('./arrow-rows.ts')).arrowRows(file);
  return (await import('./parquet-rows.ts')).parquetRows(file, options);
}

async function nextBatch(
  rows: AsyncGenerator<RawRow>,
): Promise<{ batch: RowBatch; buffers: ArrayBuffer[] }> {
  const taken: RawRow[] = [];
  const buffers: ArrayBuffer[] = [];
  let bytes = 0;
  try {
    while (taken.length < MAX_ROWS && bytes < MAX_BYTES) {
      const next = await rows.next();
      if (next.done === true) return { batch: { rows: taken, isLast: true }, buffers };
      const own = new Set<ArrayBuffer>();
      taken.push({ ...next.value, value: withOwnBytes(next.value.value, own) });
      for (const buffer of own) bytes += buffer.byteLength;
      buffers.push(...own);
    }
    return { batch: { rows: taken, isLast: false }, buffers };
  } catch (error) {
    return { batch: { rows: taken, problem: toWireError(error), isLast: true }, buffers };
  }
}

/** Copies the bytes in a value. They are views of a whole column, which would cross with each of them. */
function withOwnBytes(value: unknown, buffers: Set<ArrayBuffer>): unknown {
  if (value instanceof Uint8Array) {
    const copy = new Uint8Array(value);
    buffers.add(copy.buffer);
    return copy;
  }
  if (Array.isArray(value)) return value.map((item) => withOwnBytes(item, buffers));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  return Object.fromEntries(entries.map(([key, inner]) => [key, withOwnBytes(inner, buffers)]));
}

const port = parentPort!;
let rows: AsyncGenerator<RawRow>;
port.on('message', (message: ReadRequest | 'next') => {
  if (message === 'next') {
    void nextBatch(rows).then(({ batch, buffers }) => port.postMessage(batch, buffers));
  } else {
    void rowsOf(message).then((opened) => {
      rows = opened;
      port.postMessage('ready');
    });
  }
});
