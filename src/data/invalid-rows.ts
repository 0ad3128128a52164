/** Invalid rows: how one is recognised, skipped or thrown, and how many of a data set may be skipped. */
import { CxmindError } from '../errors.ts';
import type { DatasetRow } from './row.ts';
import type { RowStore } from './row-store.ts';

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

/** Numbers of the rows that can be used, in order, and one error for each skipped row. */
export interface CheckedRows {
  readonly usable: Uint32Array;
  readonly skipped: readonly CxmindError[];
}

/**
 * Makes something of each row.
 *
 * @param make fails for a bad row
 * @param isUsable tells of what was made, row by row in order, whether the row is to be used
 * @throws DATA_INVALID at the first bad row if `invalidRows` is `fail`
 */
export async function eachRow<T>(
  rows: RowStore,
  make: (row: DatasetRow) => Promise<T>,
  isUsable: (made: T) => boolean,
  { invalidRows, concurrency }: EachRowOptions,
): Promise<CheckedRows> {
  const usable = new Uint32Array(rows.length);
  let count = 0;
  const skipped: CxmindError[] = [];
  for (let start = 0; start < rows.length; start += concurrency) {
    const length = Math.min(concurrency, rows.length - start);
    const making = Array.from({ length }, async (_, i) => make(await rows.at(start + i)));
    for (const [i, result] of (await Promise.allSettled(making)).entries()) {
      if (result.status === 'rejected') skipped.push(skippable(result.reason, invalidRows));
      else if (isUsable(result.value)) usable[count++] = start + i;
    }
  }
  return { usable: usable.slice(0, count), skipped };
}
