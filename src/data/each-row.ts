import type { CxmindError } from '../errors.ts';
import { skippable, type InvalidRows } from './invalid-rows.ts';
import type { DatasetRow } from './row.ts';

/** How rows are worked on. */
export interface EachRowOptions {
  readonly invalidRows: InvalidRows;
  /** Rows worked on at a time: while the header of one's image is read, others are tokenised. */
  readonly concurrency: number;
}

/** What was made of rows, in their order, and one error for every row that was skipped. */
export interface MadeOfRows<T> {
  readonly made: readonly { readonly row: DatasetRow; readonly value: T }[];
  readonly skipped: readonly CxmindError[];
}

/**
 * Makes something of every row.
 *
 * @throws DATA_INVALID at the first bad row when `invalidRows` is `fail`
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
