import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { CxmindError } from '../errors.ts';
import { jsonRows } from './json-rows.ts';
import { decodeRow, type DatasetRow, type RowKeys } from './row.ts';

/** What an invalid row does: ends the run, or is skipped and counted. */
export type InvalidRows = 'fail' | 'skip';

/** Where a data set is and how its rows are read. */
export interface DatasetOptions extends RowKeys {
  /** A JSONL or JSON file, or a directory of them, with `@train` at most behind it. */
  readonly source: string;
  readonly invalidRows: InvalidRows;
}

/** The rows of a data set, and what was wrong with the others. */
export interface Dataset {
  readonly rows: readonly DatasetRow[];
  /** One error for every row that was skipped. */
  readonly skipped: readonly CxmindError[];
}

/** The column names of a data set that does not say otherwise. */
export const DEFAULT_KEYS: RowKeys = {
  promptKey: 'prompt',
  answerKey: 'answer',
  imageKey: 'images',
  videoKey: 'videos',
};

/**
 * Reads and checks every row of a data set; images are not opened yet.
 *
 * @throws DATA_INVALID naming file, line and field of the first invalid row when `invalidRows` is
 *   `fail`; in any case when the source cannot be read or has no valid row
 */
export async function loadDataset({
  source,
  invalidRows,
  ...keys
}: DatasetOptions): Promise<Dataset> {
  const rows: DatasetRow[] = [];
  const skipped: CxmindError[] = [];
  for (const file of await filesOf(source)) {
    for await (const raw of jsonRows(file)) {
      try {
        rows.push(decodeRow(raw, keys));
      } catch (error) {
        if (!isDataInvalid(error) || invalidRows === 'fail') throw error;
        skipped.push(error);
      }
    }
  }
  if (rows.length === 0) {
    const reason =
      skipped.length === 0 ? 'no rows' : `all ${skipped.length} rows are invalid, the first one: `;
    throw new CxmindError('DATA_INVALID', `${source}: ${reason}${skipped[0]?.message ?? ''}`);
  }
  return { rows, skipped };
}

/** Whether an error says that a row or an image is bad, so that a run may go on without it. */
export function isDataInvalid(error: unknown): error is CxmindError {
  return error instanceof CxmindError && error.code === 'DATA_INVALID';
}

/** The files of a source, a directory's in name order. */
async function filesOf(source: string): Promise<string[]> {
  const path = await pathOfSource(source);
  if (!(await stat(path)).isDirectory()) return [checkedFile(path)];
  const entries = await readdir(path, { withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && isJsonName(entry.name))
    .map((entry) => join(path, entry.name))
    .sort();
  if (files.length === 0) throw invalidSource(path, 'the directory has no .jsonl or .json file');
  return files;
}

/** The path of `SOURCE[@SPLIT]`; a file may have an `@` in its name. */
async function pathOfSource(source: string): Promise<string> {
  if (await exists(source)) return source;
  const [path = '', split, ...more] = source.split('@');
  if (more.length > 0) throw invalidSource(source, 'more than one @');
  if (!(await exists(path))) throw invalidSource(path, 'no such file or directory');
  if (split !== 'train') {
    throw invalidSource(source, `local files have only the split "train", not "${split ?? ''}"`);
  }
  return path;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function isJsonName(name: string): boolean {
  return ['.jsonl', '.json'].includes(extname(name).toLowerCase());
}

function checkedFile(path: string): string {
  if (isJsonName(path)) return path;
  throw invalidSource(path, `expected a .jsonl or .json file, got "${extname(path)}"`);
}

function invalidSource(path: string, reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `${path}: ${reason}`, { detail: { file: path } });
}
