/* Rows of Parquet files. `ColumnarThread` runs this reader on a thread that can be ended. */
import type { FileHandle } from 'node:fs/promises';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import {
  parquetMetadataAsync,
  parquetReadObjects,
  type AsyncBuffer,
  type Compressors,
} from 'hyparquet';
import { compressors as allCompressors } from 'hyparquet-compressors';
import { plainValue } from './plain-value.ts';
import { MAX_BUFFER_BYTES, openDataFile, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Most rows in a byte of a file. A row of text takes more than a bit, so a higher count is wrong. */
const MAX_ROWS_PER_BYTE = 64;

/** The part of a file that is read. */
export interface ReadOptions {
  /** The one row group of a Parquet file that is read; all if absent. */
  readonly group?: number;
}

/**
 * Rows of a Parquet file, one row group in memory at a time. A binary column that is not marked as text gives bytes.
 *
 * @throws DATA_INVALID if the file is missing, cut short or not Parquet
 */
export async function* parquetRows(
  { path, name }: DataFile,
  { group: only }: ReadOptions = {},
): AsyncGenerator<RawRow> {
  await using handle = await openDataFile(path);
  let line = 0;
  try {
    const file = await bufferOf(handle);
    const metadata = await parquetMetadataAsync(file);
    for (const [number, group] of metadata.row_groups.entries()) {
      const rowEnd = line + Number(group.num_rows);
      if (!(rowEnd >= line && rowEnd <= MAX_ROWS_PER_BYTE * file.byteLength)) {
        throw new Error(`it claims ${group.num_rows} rows in ${file.byteLength} bytes`);
      }
      const range = { rowStart: line, rowEnd };
      line = rowEnd;
      if (only !== undefined && only !== number) continue;
      const rows = await parquetReadObjects({ file, metadata, ...range, compressors, utf8: false });
      for (const [i, row] of rows.entries()) {
        const place = { group: number, row: i };
        yield { file: path, name, line: range.rowStart + i + 1, value: plainValue(row), place };
      }
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Parquet', cause);
  }
}

/** Bound of a page; Node takes none of 0. */
const atMost = (bytes: number): { maxOutputLength: number } => ({
  maxOutputLength: Math.max(1, bytes),
});

/** Compressors that Node has too, many times as fast as in JavaScript. None gives more bytes than the file claims. */
const native: Compressors = {
  GZIP: (input, sizeBytes) => gunzipSync(input, atMost(sizeBytes)),
  BROTLI: (input, sizeBytes) => brotliDecompressSync(input, atMost(sizeBytes)),
  ZSTD: (input, sizeBytes) => zstdDecompressSync(input, atMost(sizeBytes)),
};

/** Compressors of Parquet pages. Each allocates the size that the file claims, which is bounded here. */
const compressors: Compressors = Object.fromEntries(
  Object.entries({ ...allCompressors, ...native }).map(
    ([codec, decompress]): [string, typeof decompress] => [
      codec,
      (input, sizeBytes) => {
        if (sizeBytes > MAX_BUFFER_BYTES) throw new Error(`it claims a page of ${sizeBytes} bytes`);
        return decompress(input, sizeBytes);
      },
    ],
  ),
);

async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    slice: async (start, end = size) => {
      if (!(start >= 0 && start <= end && end <= size)) {
        throw new Error(`it has ${size} bytes, and points to ${start} to ${end}`);
      }
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(
          bytes,
          filled,
          bytes.length - filled,
          start + filled,
        );
        if (bytesRead === 0) throw new Error(`it ends at byte ${start + filled}`);
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}
