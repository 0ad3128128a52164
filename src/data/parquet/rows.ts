/** Rows of Parquet files. `ColumnarThread` runs this reader on a thread that can be ended. */
import { ParquetFile } from './file.ts';
import type { RawRow } from '../raw-row.ts';
import type { DataFile } from '../source.ts';

/** Bytes of rows in memory together, where the pages of a row group are known. */
const PART_BYTES = 2 ** 26;

/**
 * Rows of a Parquet file, a part of it in memory at a time.
 *
 * @throws DATA_INVALID if the file is missing, cut short or not Parquet
 */
export async function* parquetRows(file: DataFile): AsyncGenerator<RawRow> {
  const opened = await ParquetFile.open(file);
  for await (const part of opened.parts(PART_BYTES)) yield* await opened.rows(part);
}
