/** Data sets whose rows are all checked before a run: held in memory, or left in their files and read again. */
import type { DataSources } from '../config/names.ts';
import { CxmindError } from '../errors.ts';
import { ColumnarThread } from './columnar-thread.ts';
import { decodeRow } from './decode-row.ts';
import { checkSkipped, skippable, type InvalidRows } from './invalid-rows.ts';
import type { RawRow } from './raw-row.ts';
import { FileRows, type RowStore } from './row-store.ts';
import type { DatasetRow, RowKeys } from './row.ts';
import { dataFilesOf, type DataFile } from './source.ts';

/** Place of a data set and the way its rows are read. */
export interface DatasetOptions extends RowKeys {
  /** `SOURCE[@SPLIT]`, one or several: files, directories, patterns, or ids of data sets on the Hugging Face Hub. */
  readonly source: DataSources;
  readonly invalidRows: InvalidRows;
  /** Largest fraction of rows that may be skipped, in [0, 1]; 1 if absent. */
  readonly maxInvalidFraction?: number;
}

/** Valid rows of a data set and the errors of the others. */
export interface Dataset {
  readonly rows: readonly DatasetRow[];
  /** One error for each skipped row. */
  readonly skipped: readonly CxmindError[];
}

/**
 * Reads and checks every row of a data set. Images are not opened.
 *
 * @throws DATA_INVALID naming file, line and field of the first invalid row if `invalidRows` is `fail`; in any case
 *   if the source cannot be read, has no valid row, or has more invalid rows than may be skipped
 */
export async function loadDataset(options: DatasetOptions): Promise<Dataset> {
  const rows: DatasetRow[] = [];
  const skipped = await readRows(options, {
    open: () => Promise.resolve(),
    add: (_, row) => rows.push(row),
  });
  return { rows, skipped };
}

/** Rows of a data set that are read when they are asked for, and the errors of the others. */
export interface OpenDataset {
  readonly rows: RowStore;
  /** One error for each skipped row. */
  readonly skipped: readonly CxmindError[];
}

/**
 * Checks every row of a data set, as `loadDataset` does. Rows of JSON Lines stay in their files, and are read again when
 * they are asked for. So do those of Parquet once they take an eighth of memory; rows of other files are held.
 *
 * @throws DATA_INVALID as `loadDataset` does
 */
export async function openDataset({
  heldBytes,
  ...options
}: DatasetOptions & {
  /** Bytes of rows of Parquet that are held; an eighth of the memory if absent. */
  readonly heldBytes?: number;
}): Promise<OpenDataset> {
  const rows = new FileRows(options, heldBytes);
  const skipped = await readRows(options, rows);
  return { rows, skipped };
}

/** Taker of the valid rows of files, in order. */
interface RowTaker {
  open(file: DataFile): Promise<void>;
  add(raw: RawRow, row: DatasetRow): void;
}

/** Decodes the rows of a data set. @returns one error for each skipped row */
async function readRows(
  { source, invalidRows, maxInvalidFraction = 1, ...keys }: DatasetOptions,
  taker: RowTaker,
): Promise<CxmindError[]> {
  await using thread = new ColumnarThread();
  const skipped: CxmindError[] = [];
  let count = 0;
  for (const file of await dataFilesOf(source)) {
    await taker.open(file);
    for await (const raw of rawRows(file, thread)) {
      try {
        taker.add(raw, decodeRow(raw, keys));
        count++;
      } catch (error) {
        skipped.push(skippable(error, invalidRows));
      }
    }
  }
  if (count === 0) {
    const reason =
      skipped.length === 0 ? 'no rows' : `all ${skipped.length} rows are invalid, the first one: `;
    throw new CxmindError(
      'DATA_INVALID',
      `${[source].flat().join(', ')}: ${reason}${skipped[0]?.message ?? ''}`,
    );
  }
  checkSkipped(skipped, count + skipped.length, maxInvalidFraction);
  return skipped;
}

/**
 * Rows of a data file, in order. The library that reads a format is loaded with the first file of that format.
 *
 * @throws DATA_INVALID if the file cannot be read as a whole
 */
async function* rawRows(file: DataFile, thread: ColumnarThread): AsyncGenerator<RawRow> {
  if (file.format === 'json') yield* (await import('./json-rows.ts')).jsonRows(file);
  else if (file.format === 'csv') yield* (await import('./csv-rows.ts')).csvRows(file);
  else yield* thread.rows(file);
}
