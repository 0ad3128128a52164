import type { CxmindError } from '../errors.ts';
import { eachRow, type EachRowOptions } from './invalid-rows.ts';
import type { DatasetRow } from './row.ts';
import { selectedRows, type RowStore } from './row-store.ts';
import type { SampleBuilder } from './sample.ts';

/** Rows that the filter kept, and the reasons for the others. */
export interface FilteredRows {
  readonly rows: RowStore;
  /** Number of rows whose prompt was too long. */
  readonly overlong: number;
  /** One error for each row that could not be measured. */
  readonly skipped: readonly CxmindError[];
}

/** Longest prompt, and the treatment of rows that cannot be measured. */
export interface OverlongOptions extends EachRowOptions {
  /** Longest prompt in tokens, placeholders of images and videos expanded. */
  readonly maxPromptLength: number;
}

/**
 * Keeps the rows whose prompt, placeholders expanded, has at most `maxPromptLength` tokens.
 *
 * @throws DATA_INVALID at the first bad row if `invalidRows` is `fail`
 */
export async function filterOverlong(
  rows: RowStore,
  builder: Pick<SampleBuilder, 'promptLength'>,
  { maxPromptLength, invalidRows, concurrency }: OverlongOptions,
): Promise<FilteredRows> {
  let overlong = 0;
  const fits = (length: number): boolean => {
    if (length > maxPromptLength) overlong++;
    return length <= maxPromptLength;
  };
  const measure = (row: DatasetRow): Promise<number> => builder.promptLength(row);
  const { usable, skipped } = await eachRow(rows, measure, fits, { invalidRows, concurrency });
  return { rows: selectedRows(rows, usable), overlong, skipped };
}
