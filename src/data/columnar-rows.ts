/* Rows of Parquet and Arrow files. `ColumnarThread` runs these readers on a thread that can be ended. */
import type { FileHandle } from 'node:fs/promises';
import { zstdDecompressSync } from 'node:zlib';
import {
  CompressionType,
  compressionRegistry,
  MapRow,
  RecordBatchReader,
  StructRow,
  Vector,
} from 'apache-arrow';
import {
  parquetMetadataAsync,
  parquetReadObjects,
  type AsyncBuffer,
  type Compressors,
} from 'hyparquet';
import { compressors as allCompressors } from 'hyparquet-compressors';
import { decompressFrameSync } from 'lz4-napi';
import { chunksOf, openDataFile, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Most rows in a byte of a Parquet file. A row of text takes more than a bit, so a higher count is wrong. */
const MAX_ROWS_PER_BYTE = 64;
/** Largest decompressed page of a Parquet file, or column of an Arrow batch. */
const MAX_BUFFER_BYTES = 2 ** 30;
/** Start of an Arrow file in file form: this magic, then the stream form, then a table of contents. */
const ARROW_MAGIC = Buffer.from('ARROW1\0\0');

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

/** Compressors of Parquet pages. Each allocates the size that the file claims, which is bounded here. */
const compressors: Compressors = Object.fromEntries(
  Object.entries(allCompressors).map(([codec, decompress]): [string, typeof decompress] => [
    codec,
    (input, sizeBytes) => {
      if (sizeBytes > MAX_BUFFER_BYTES) throw new Error(`it claims a page of ${sizeBytes} bytes`);
      return decompress(input, sizeBytes);
    },
  ]),
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

/**
 * Rows of an Arrow file, one batch in memory at a time. Both forms are read: the stream that `datasets` saves, and
 * the file form.
 *
 * @throws DATA_INVALID if the file is missing, cut short or not Arrow
 */
export async function* arrowRows({ path, name }: DataFile): AsyncGenerator<RawRow> {
  compressionRegistry.set(CompressionType.ZSTD, {
    decode: (bytes) => zstdDecompressSync(bytes, { maxOutputLength: MAX_BUFFER_BYTES }),
  });
  compressionRegistry.set(CompressionType.LZ4_FRAME, {
    decode: (bytes) => decompressFrameSync(Buffer.from(bytes)),
  });
  await using handle = await openDataFile(path);
  let line = 0;
  try {
    const reader = await RecordBatchReader.from(chunksOf(handle, await streamStart(handle)));
    for await (const batch of reader) {
      for (const row of batch) yield { file: path, name, line: ++line, value: arrowValue(row) };
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Arrow', cause);
  }
}

/** Offset of the stream in an Arrow file. Reading the stream trusts no offset of the table of contents. */
async function streamStart(handle: FileHandle): Promise<number> {
  const length = ARROW_MAGIC.length;
  const { buffer } = await handle.read(Buffer.alloc(length), 0, length, 0);
  return buffer.equals(ARROW_MAGIC) ? length : 0;
}

function arrowValue(value: unknown): unknown {
  if (value instanceof StructRow || value instanceof MapRow) {
    return Object.fromEntries(
      Array.from(value, ([key, inner]) => [String(key), arrowValue(inner)]),
    );
  }
  if (value instanceof Vector) return Array.from(value, arrowValue);
  return plainValue(value);
}

/**
 * Value of a typed file as JSON would hold it, bytes aside. A 64-bit integer becomes a number if that is exact, and
 * text otherwise. A time becomes ISO text. A list of any kind becomes an array.
 */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (isIterable(value)) return Array.from(value, plainValue);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plainValue(inner)]));
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value;
}
