import { createReadStream } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';
import {
  CompressionType,
  compressionRegistry,
  MapRow,
  RecordBatchReader,
  StructRow,
  Vector,
} from 'apache-arrow';
import { plainValue } from './plain-value.ts';
import { unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/**
 * The rows of an Arrow file, in the stream form that `datasets` saves or in the file form, one batch in memory at a
 * time.
 *
 * @throws DATA_INVALID when the file is missing, cut short or not Arrow, or is compressed with LZ4
 */
export async function* arrowRows({ path, name }: DataFile): AsyncGenerator<RawRow> {
  compressionRegistry.set(CompressionType.ZSTD, { decode: (bytes) => zstdDecompressSync(bytes) });
  let line = 0;
  try {
    const reader = await RecordBatchReader.from(createReadStream(path));
    for await (const batch of reader) {
      for (const row of batch) yield { file: path, name, line: ++line, value: valueOf(row) };
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Arrow', cause);
  }
}

function valueOf(value: unknown): unknown {
  if (value instanceof StructRow || value instanceof MapRow) {
    return Object.fromEntries(Array.from(value, ([key, inner]) => [String(key), valueOf(inner)]));
  }
  if (value instanceof Vector) return Array.from(value, valueOf);
  return plainValue(value);
}
