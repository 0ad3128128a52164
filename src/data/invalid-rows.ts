import { CxmindError } from '../errors.ts';
import type { DatasetRow } from './row.ts';

/** Treatment of an invalid row: it ends the run, or it is skipped and counted. */
export type InvalidRows = 'fail' | 'skip';

/** Most rows that a message names. */
const NAMED = 3;

/** Tells whether an error concerns one row or one image, so that a run may go on without it. */
export function isDataInvalid(error: unknown): error is CxmindError {
  return error instanceof CxmindError && error.code === 'DATA_INVALID';
}

/**
 * Returns the error of a row that may be skipped.
 *
 * @throws any other error, and every error if `invalidRows` is `fail`
 */
export function skippable(error: unknown, invalidRows: InvalidRows): CxmindError {
  if (invalidRows === 'skip' && isDataInvalid(error)) return error;
  throw error;
}

/**
 * Checks that few enough rows of a data set were skipped.
 *
 * @param rowCount number of rows, skipped ones included
 * @param maxFraction largest fraction of skipped rows, in [0, 1]
 * @throws DATA_INVALID with both counts and the first skipped rows
 */
export function checkSkipped(
  skipped: readonly CxmindError[],
  rowCount: number,
  maxFraction: number,
): void {
  if (skipped.length <= rowCount * maxFraction) return;
  const rest = skipped.length - NAMED;
  const named = skipped.slice(0, NAMED).map(({ message }) => message);
  throw new CxmindError(
    'DATA_INVALID',
    `${skipped.length} of ${rowCount} rows are invalid, more than data.max_invalid_fraction = ${maxFraction} lets be ` +
      `skipped: ${named.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`,
    { detail: { skipped: skipped.length, rows: rowCount } },
  );
}

/** Treatment of the rows of one pass. */
export interface EachRowOptions {
  readonly invalidRows: InvalidRows;
  /** Rows in work at a time: while an image header of one is read, others are tokenised. */
  readonly concurrency: number;
}

/** Results of the valid rows, in order, and one error for each skipped row. */
export interface MadeOfRows<T> {
  readonly made: readonly { readonly row: DatasetRow; readonly value: T }[];
  readonly skipped: readonly CxmindError[];
}

/**
 * Maps rows to values.
 *
 * @throws DATA_INVALID at the first bad row if `invalidRows` is `fail`
 */
export async function eachRow<T>(
  rows: readonly DatasetRow[],
  make: (row: DatasetRow) => Promise<T>,
  { invalidRows, concurrency }: EachRowOptions,
): Promise<MadeOfRows<T>> {
  const made: { row: DatasetRow; value: T }[] = [];
  const skipped: CxmindError[] = [];
  for (let start = 0; start < rows.length; start += concurrency) {
    const group = rows.slice(start, start + concurrency);
    const results = await Promise.allSettled(group.map(make));
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') made.push({ row: group[i]!, value: result.value });
      else skipped.push(skippable(result.reason, invalidRows));
    }
  }
  return { made, skipped };
}
