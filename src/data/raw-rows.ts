import { ColumnarThread } from './columnar-thread.ts';
import type { RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/**
 * The rows of data files, in order. A reader is loaded with the first file that needs it.
 *
 * @throws DATA_INVALID when a file as a whole cannot be read
 */
export async function* rawRows(files: readonly DataFile[]): AsyncGenerator<RawRow> {
  await using thread = new ColumnarThread();
  for (const file of files) {
    if (file.format === 'json') yield* (await import('./json-rows.ts')).jsonRows(file);
    else if (file.format === 'csv') yield* (await import('./csv-rows.ts')).csvRows(file);
    else yield* thread.rows(file);
  }
}
