import type { CxmindError } from '../errors.ts';
import { eachRow, type EachRowOptions } from './each-row.ts';
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

/** How the filter works. */
export interface OverlongOptions extends EachRowOptions {
  /** Tokens, images and videos expanded. */
  readonly maxPromptLength: number;
}

/**
 * Keeps the rows whose prompt, images expanded, has at most `maxPromptLength` tokens.
 *
 * @throws DATA_INVALID at the first bad row when `invalidRows` is `fail`
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
