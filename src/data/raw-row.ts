import { CxmindError } from '../errors.ts';
import type { DataFile, DataFormat } from './source.ts';

/** A row as it stands in a file, not yet checked, or why it could not be parsed. */
export interface RawRow {
  /** Path of its file. */
  readonly file: string;
  /** What the file is called in its data set. */
  readonly name: string;
  /** Line of a text file, or place among the rows of another; from 1. */
  readonly line: number;
  readonly value: unknown;
  /** Whether the file knows no lists, so that a text stands for one. */
  readonly isText?: boolean;
  readonly problem?: CxmindError;
}

/** Reads the rows of a file of one format. */
export type RowReader = (file: DataFile) => AsyncGenerator<RawRow>;

/** Readers are loaded with the first file that needs them. */
const readers: Readonly<Record<DataFormat, () => Promise<RowReader>>> = {
  json: async () => (await import('./json-rows.ts')).jsonRows,
  csv: async () => (await import('./csv-rows.ts')).csvRows,
  parquet: async () => (await import('./parquet-rows.ts')).parquetRows,
  arrow: async () => (await import('./arrow-rows.ts')).arrowRows,
};

/**
 * The rows of a data file, in order.
 *
 * @throws DATA_INVALID when the file as a whole cannot be read
 */
export async function* rawRows(file: DataFile): AsyncGenerator<RawRow> {
  const read = await readers[file.format]();
  yield* read(file);
}

/** The error of a file that cannot be read at all. */
export function unreadable(file: string, reason: string, cause: unknown): CxmindError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new CxmindError('DATA_INVALID', `${file}: ${reason}: ${why}`, { detail: { file }, cause });
}

/** The row of a line that could not be parsed. */
export function brokenRow(
  { path, name }: DataFile,
  line: number,
  reason: string,
  cause?: unknown,
): RawRow {
  const problem = new CxmindError('DATA_INVALID', `${path}:${line}: ${reason}`, {
    detail: { file: path, line },
    cause,
  });
  return { file: path, name, line, value: undefined, problem };
}
