import type { CxmindError } from '../errors.ts';
import { eachRow, type EachRowOptions } from './invalid-rows.ts';
import type { DatasetRow } from './row.ts';
import type { SampleBuilder } from './sample.ts';

/** Rows that the filter kept, and the reasons for the others. */
export interface FilteredRows {
  readonly rows: readonly DatasetRow[];
  /** Number of rows whose prompt was too long. */
  readonly overlong: number;
  /** One error for each row that could not be measured. */
  readonly skipped: readonly CxmindError[];
}

/** Options of the filter. */
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
  rows: readonly DatasetRow[],
  builder: Pick<SampleBuilder, 'promptLength'>,
  { maxPromptLength, invalidRows, concurrency }: OverlongOptions,
): Promise<FilteredRows> {
  const measured = await eachRow(rows, (row) => builder.promptLength(row), {
    invalidRows,
    concurrency,
  });
  const kept = measured.made.filter(({ value }) => value <= maxPromptLength);
  return {
    rows: kept.map(({ row }) => row),
    overlong: measured.made.length - kept.length,
    skipped: measured.skipped,
  };
}
