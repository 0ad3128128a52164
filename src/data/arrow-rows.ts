/** Rows of Arrow files. `ColumnarThread` runs this reader on a thread that can be ended. */
import type { FileHandle } from 'node:fs/promises';
import { zstdDecompressSync } from 'node:zlib';
import {
  CompressionType,
  compressionRegistry,
  DataType,
  MapRow,
  RecordBatchReader,
  StructRow,
  Vector,
  type Data,
} from 'apache-arrow';
import { decompressFrameSync } from 'lz4-napi';
import { plainValue } from './plain-value.ts';
import { chunksOf, MAX_BUFFER_BYTES, openDataFile, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Start of a file in file form: this magic, then the stream form, then a table of contents. */
const ARROW_MAGIC = Buffer.from('ARROW1\0\0');

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
      if (!isWhole(batch.data)) throw new Error(`a batch has fewer than its ${batch.numRows} rows`);
      for (const row of batch) yield { file: path, name, line: ++line, value: arrowValue(row) };
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Arrow', cause);
  }
}

/** Buffers of a column, which has not all of them. Bits of the bitmap, and values of booleans, are eight in an entry. */
type ColumnBuffers = Partial<
  Record<'nullBitmap' | 'valueOffsets' | 'values', { readonly length: number }>
>;

/**
 * Tells whether the buffers of a column hold the values that it claims. The reader does not look. It would make rows
 * of nothing, and nearly without end if the count is corrupt.
 */
function isWhole(column: Data): boolean {
  const { type, length, stride, children } = column;
  const buffers: ColumnBuffers = column;
  const { nullBitmap = [], valueOffsets, values } = buffers;
  if (length === 0) return true;
  if (nullBitmap.length > 0 && 8 * nullBitmap.length < length) return false;
  if (valueOffsets !== undefined) {
    const offsets = DataType.isUnion(type) ? length : length + 1;
    return valueOffsets.length >= offsets && children.every(isWhole);
  }
  if (values !== undefined) {
    return DataType.isBool(type) ? 8 * values.length >= length : values.length >= length * stride;
  }
  const perRow = DataType.isFixedSizeList(type) ? type.listSize : 1;
  return children.every((child) => child.length >= length * perRow && isWhole(child));
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
