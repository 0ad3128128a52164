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
import { chunksOf, openDataFile } from './open-file.ts';
import { plainValue } from './plain-value.ts';
import { unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Of a column of a batch, decompressed. */
const MAX_BUFFER_BYTES = 2 ** 30;

/** The file form is the stream form between this and a table of contents. */
const MAGIC = Buffer.from('ARROW1\0\0');

/**
 * The rows of an Arrow file, in the stream form that `datasets` saves or in the file form, one batch in memory at a
 * time.
 *
 * @throws DATA_INVALID when the file is missing, cut short or not Arrow
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
      for (const row of batch) yield { file: path, name, line: ++line, value: valueOf(row) };
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Arrow', cause);
  }
}

/** Where the stream begins; reading from it, no count or offset of the table of contents has to be trusted. */
async function streamStart(handle: FileHandle): Promise<number> {
  const { buffer } = await handle.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
  return buffer.equals(MAGIC) ? MAGIC.length : 0;
}

function valueOf(value: unknown): unknown {
  if (value instanceof StructRow || value instanceof MapRow) {
    return Object.fromEntries(Array.from(value, ([key, inner]) => [String(key), valueOf(inner)]));
  }
  if (value instanceof Vector) return Array.from(value, valueOf);
  return plainValue(value);
}
