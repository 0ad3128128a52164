import type { DataSources } from '../config/data-source.ts';
import { CxmindError } from '../errors.ts';
import { checkSkipped, skippable, type InvalidRows } from './invalid-rows.ts';
import { rawRows } from './raw-rows.ts';
import { decodeRow, type DatasetRow } from './row.ts';
import type { RowKeys } from './row-keys.ts';
import { dataFilesOf } from './source.ts';

/** Where a data set is and how its rows are read. */
export interface DatasetOptions extends RowKeys {
  /** `SOURCE[@SPLIT]`, one or several: files, directories, patterns, or ids of data sets on the Hugging Face Hub. */
  readonly source: DataSources;
  readonly invalidRows: InvalidRows;
  /** Of all rows, in [0, 1]: more than these are not skipped; all may be unless given. */
  readonly maxInvalidFraction?: number;
}

/** The rows of a data set, and what was wrong with the others. */
export interface Dataset {
  readonly rows: readonly DatasetRow[];
  /** One error for every row that was skipped. */
  readonly skipped: readonly CxmindError[];
}

/** The column names of a data set that does not say otherwise. */
export const DEFAULT_KEYS: RowKeys = {
  promptKey: 'prompt',
  answerKey: 'answer',
  imageKey: 'images',
  videoKey: 'videos',
};

/**
 * Reads and checks every row of a data set; images are not opened yet.
 *
 * @throws DATA_INVALID naming file, line and field of the first invalid row when `invalidRows` is
 *   `fail`; in any case when the source cannot be read, has no valid row, or more invalid ones than may be skipped
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
