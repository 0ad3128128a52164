import type { CxmindError } from '../errors.ts';
import { isDataInvalid, type InvalidRows } from './dataset.ts';
import type { DatasetRow } from './row.ts';
import type { SampleBuilder } from './sample.ts';

/** What the filter kept, and why the rest is gone. */
export interface FilteredRows {
  readonly rows: readonly DatasetRow[];
  /** Rows whose prompt was too long. */
  readonly overlong: number;
  /** One error for every row that could not be measured. */
  readonly skipped: readonly CxmindError[];
}

/**
 * Keeps the rows whose prompt, images expanded, has at most `maxPromptLength` tokens.
 *
 * @throws DATA_INVALID at the first bad row when `invalidRows` is `fail`
 */
export async function filterOverlong(
  rows: readonly DatasetRow[],
  builder: SampleBuilder,
  maxPromptLength: number,
  invalidRows: InvalidRows,
): Promise<FilteredRows> {
  const kept: DatasetRow[] = [];
  const skipped: CxmindError[] = [];
  let overlong = 0;
  for (const row of rows) {
    try {
      if ((await builder.promptLength(row)) <= maxPromptLength) kept.push(row);
      else overlong++;
    } catch (error) {
      if (!isDataInvalid(error) || invalidRows === 'fail') throw error;
      skipped.push(error);
    }
  }
  return { rows: kept, overlong, skipped };
}
