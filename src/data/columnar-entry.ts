/** Entry of the thread that `ColumnarThread` starts: reads a file's rows and posts them in batches. */
import { parentPort } from 'node:worker_threads';
import { toWireError, type WireError } from '../errors.ts';
import { withOwnBytes } from './plain-value.ts';
import type { RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

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
async function rowsOf(file: DataFile): Promise<AsyncGenerator<RawRow>> {
  if (file.format !== 'parquet') return (await import('./arrow-rows.ts')).arrowRows(file);
  return (await import('./parquet/rows.ts')).parquetRows(file);
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

const port = parentPort!;
let rows: AsyncGenerator<RawRow>;
port.on('message', (message: DataFile | 'next' | 'close') => {
  if (message === 'next') {
    void nextBatch(rows).then(({ batch, buffers }) => port.postMessage(batch, buffers));
  } else if (message === 'close') {
    void rows.return(undefined);
  } else {
    rowsOf(message).then(
      (opened) => {
        rows = opened;
        port.postMessage('ready');
      },
      (error: unknown) => {
        // A reader that cannot be loaded ends the thread.
        queueMicrotask(() => {
          throw error;
        });
      },
    );
  }
});

// A reader that fails leaves reads behind, which fail too. Its first error has been posted.
process.on('unhandledRejection', () => undefined);
