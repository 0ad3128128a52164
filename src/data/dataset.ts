import type { DataSources } from '../config/names.ts';
import { CxmindError } from '../errors.ts';
import { ColumnarThread } from './columnar-thread.ts';
import { decodeRow } from './decode-row.ts';
import { checkSkipped, skippable, type InvalidRows } from './invalid-rows.ts';
import type { RawRow } from './raw-row.ts';
import type { DatasetRow, RowKeys } from './row.ts';
import { dataFilesOf, type DataFile } from './source.ts';

/** Place of a data set and the way its rows are read. */
export interface DatasetOptions extends RowKeys {
  /** `SOURCE[@SPLIT]`, one or several: files, directories, patterns, or ids of data sets on the Hugging Face Hub. */
  readonly source: DataSources;
  readonly invalidRows: InvalidRows;
  /** Largest fraction of rows that may be skipped, in [0, 1]; 1 if absent. */
  readonly maxInvalidFraction?: number;
}

/** Valid rows of a data set and the errors of the others. */
export interface Dataset {
  readonly rows: readonly DatasetRow[];
  /** One error for each skipped row. */
  readonly skipped: readonly CxmindError[];
}

/**
 * Reads and checks every row of a data set. Images are not opened.
 *
 * @throws DATA_INVALID naming file, line and field of the first invalid row if `invalidRows` is `fail`; in any case
 *   if the source cannot be read, has no valid row, or has more invalid rows than may be skipped
 */
export async function loadDataset({
  source,
  invalidRows,
  maxInvalidFraction = 1,
  ...keys
}: DatasetOptions): Promise<Dataset> {
  const rows: DatasetRow[] = [];
  const skipped: CxmindError[] = [];
  for await (const raw of rawRows(await dataFilesOf(source))) {
    try {
      rows.push(decodeRow(raw, keys));
    } catch (error) {
      skipped.push(skippable(error, invalidRows));
    }
  }
  if (rows.length === 0) {
    const reason =
      skipped.length === 0 ? 'no rows' : `all ${skipped.length} rows are invalid, the first one: `;
    throw new CxmindError(
      'DATA_INVALID',
      `${[source].flat().join(', ')}: ${reason}${skipped[0]?.message ?? ''}`,
    );
  }
  checkSkipped(skipped, rows.length + skipped.length, maxInvalidFraction);
  return { rows, skipped };
}

/**
 * Rows of data files, in order. The library that reads a format is loaded with the first file of that format.
 *
 * @throws DATA_INVALID if a file cannot be read as a whole
 */
async function* rawRows(files: readonly DataFile[]): AsyncGenerator<RawRow> {
  await using thread = new ColumnarThread();
  for (const file of files) {
    if (file.format === 'json') yield* (await import('./json-rows.ts')).jsonRows(file);
    else if (file.format === 'csv') yield* (await import('./csv-rows.ts')).csvRows(file);
    else yield* thread.rows(file);
  }
}
