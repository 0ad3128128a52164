import type { RawRow } from './raw-row.ts';
import type { DataFile, DataFormat } from './source.ts';

/** Reads the rows of a file of one format. */
export type RowReader = (file: DataFile) => AsyncGenerator<RawRow>;

/** Readers are loaded with the first file that needs them. */
const readers: Readonly<Record<DataFormat, () => Promise<RowReader>>> = {
  json: async () => (await import('./json-rows.ts')).jsonRows,
  csv: async () => (await import('./csv-rows.ts')).csvRows,
  parquet: async () => (await import('./parquet-rows.ts')).parquetRows,
  arrow: async () => (await import('./arrow-rows.ts')).arrowRows,
};

/**
 * The rows of a data file, in order.
 *
 * @throws DATA_INVALID when the file as a whole cannot be read
 */
export async function* rawRows(file: DataFile): AsyncGenerator<RawRow> {
  const read = await readers[file.format]();
  yield* read(file);
}
