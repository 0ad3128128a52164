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

/** How the filter works. */
export interface OverlongOptions {
  /** Tokens, images and videos expanded. */
  readonly maxPromptLength: number;
  readonly invalidRows: InvalidRows;
  /** Rows measured at a time: while the header of one's image is read, others are tokenised. */
  readonly concurrency: number;
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
  const kept: DatasetRow[] = [];
  const skipped: CxmindError[] = [];
  let overlong = 0;
  for (let start = 0; start < rows.length; start += concurrency) {
    const group = rows.slice(start, start + concurrency);
    const lengths = await Promise.allSettled(group.map((row) => builder.promptLength(row)));
    for (const [i, result] of lengths.entries()) {
      if (result.status === 'rejected') {
        const { reason } = result as { reason: unknown };
        if (!isDataInvalid(reason) || invalidRows === 'fail') throw reason;
        skipped.push(reason);
      } else if (result.value <= maxPromptLength) {
        kept.push(group[i]!);
      } else {
        overlong++;
      }
    }
  }
  return { rows: kept, overlong, skipped };
}
