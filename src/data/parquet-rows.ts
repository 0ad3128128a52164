import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { plainValue } from './plain-value.ts';
import { unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/**
 * The rows of a Parquet file, one row group in memory at a time; a binary column without a text type gives bytes.
 *
 * @throws DATA_INVALID when the file is missing, cut short or not Parquet
 */
export async function* parquetRows({ path, name }: DataFile): AsyncGenerator<RawRow> {
  let line = 0;
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    for (const group of metadata.row_groups) {
      const rowEnd = line + Number(group.num_rows);
      const range = { rowStart: line, rowEnd };
      const rows = await parquetReadObjects({ file, metadata, ...range, compressors, utf8: false });
      for (const row of rows) yield { file: path, name, line: ++line, value: plainValue(row) };
    }
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Parquet', cause);
  }
}
