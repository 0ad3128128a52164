/* Rows of Arrow files. `ColumnarThread` runs this reader on a thread that can be ended. */
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
