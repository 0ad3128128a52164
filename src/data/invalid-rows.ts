import { CxmindError } from '../errors.ts';

/** What an invalid row does: ends the run, or is skipped and counted. */
export type InvalidRows = 'fail' | 'skip';

/** How many rows a message names. */
const NAMED = 3;

/** Whether an error says that a row or an image is bad, so that a run may go on without it. */
export function isDataInvalid(error: unknown): error is CxmindError {
  return error instanceof CxmindError && error.code === 'DATA_INVALID';
}

/**
 * The error of a row that may be skipped.
 *
 * @throws any other error, and where invalid rows end the run this one too
 */
export function skippable(error: unknown, invalidRows: InvalidRows): CxmindError {
  if (invalidRows === 'skip' && isDataInvalid(error)) return error;
  throw error;
}

/**
 * Checks that few enough rows of a data set were skipped.
 *
 * @param rowCount all of its rows, those that were skipped included
 * @param maxFraction of all rows, in [0, 1]
 * @throws DATA_INVALID with both counts and the first rows that were skipped
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
