import type { FileHandle } from 'node:fs/promises';
import {
  parquetMetadataAsync,
  parquetReadObjects,
  type AsyncBuffer,
  type Compressors,
} from 'hyparquet';
import { compressors as allCompressors } from 'hyparquet-compressors';
import { openDataFile } from './open-file.ts';
import { plainValue } from './plain-value.ts';
import { unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** More than this is no table of prompts, but a count that is wrong: the text of a row takes more than bits. */
const MAX_ROWS_PER_BYTE = 64;
/** Of the text or the pictures of a page. */
const MAX_PAGE_BYTES = 2 ** 30;

/**
 * The rows of a Parquet file, one row group in memory at a time; a binary column without a text type gives bytes.
 *
 * @throws DATA_INVALID when the file is missing, cut short or not Parquet
 */
export async function* parquetRows({ path, name }: DataFile): AsyncGenerator<RawRow> {
  await using handle = await openDataFile(path);
  let line = 0;
  try {
    const file = await bufferOf(handle);
    const metadata = await parquetMetadataAsync(file);
    for (const group of metadata.row_groups) {
      const rowEnd = line + Number(group.num_rows);
      if (!(rowEnd >= line && rowEnd <= MAX_ROWS_PER_BYTE * file.byteLength)) {
        throw new Error(`it claims ${group.num_rows} rows in ${file.byteLength} bytes`);
      }
      const range = { rowStart: line, rowEnd };
      const rows = await parquetReadObjects({ file, metadata, ...range, compressors, utf8: false });
      for (const row of rows) yield { file: path, name, line: ++line, value: plainValue(row) };
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Parquet', cause);
  }
}

/** Each compressor takes the size of what comes out from the file, and makes room for it. */
const compressors: Compressors = Object.fromEntries(
  Object.entries(allCompressors).map(([codec, decompress]): [string, typeof decompress] => [
    codec,
    (input, sizeBytes) => {
      if (sizeBytes > MAX_PAGE_BYTES) throw new Error(`it claims a page of ${sizeBytes} bytes`);
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
