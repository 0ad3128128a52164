import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { isHubId } from '../config/hub-id.ts';
import { CxmindError } from '../errors.ts';
import { openRepository } from '../hub/repository.ts';
import { hubSettings, type HubSettings } from '../hub/settings.ts';
import { splitsOf } from './hub-splits.ts';

/** How the rows of a file are written. */
export type DataFormat = 'json' | 'csv' | 'parquet' | 'arrow';

/** A file of a data set. */
export interface DataFile {
  readonly path: string;
  /** What it is called in the data set, wherever that lies: unique in it. */
  readonly name: string;
  readonly format: DataFormat;
}

const formats: Readonly<Record<string, DataFormat>> = {
  '.jsonl': 'json',
  '.json': 'json',
  '.csv': 'csv',
  '.parquet': 'parquet',
  '.arrow': 'arrow',
};
const known = 'a .jsonl, .json, .csv, .parquet or .arrow file';
/** JSON files of a repository that are about its data. */
const DESCRIPTIVE = /(^|\/)(dataset_infos?|dataset_dict|state|config|package(-lock)?)\.json$/;

/**
 * The files of `SOURCE[@SPLIT]`: a file, a directory, whose files come in name order, or a data set of the Hugging
 * Face Hub by its id. The split is `train` unless said, and local data have no other.
 *
 * @throws DATA_INVALID when there is no such source or split, or it holds no data
 * @see spec/data.md, 1
 */
export async function dataFilesOf(
  source: string,
  settings: HubSettings = hubSettings(),
): Promise<readonly DataFile[]> {
  // A file may have an `@` in its name.
  if (await exists(source)) return localFiles(source);
  const [path = '', split = 'train', ...more] = source.split('@');
  if (more.length > 0) throw invalidSource(source, 'more than one @');
  if (await exists(path)) {
    if (split === 'train') return localFiles(path);
    throw invalidSource(source, `local files have only the split "train", not "${split}"`);
  }
  if (isHubId(path)) return hubFiles(path, split, settings);
  throw invalidSource(path, 'no such file or directory');
}

async function localFiles(path: string): Promise<DataFile[]> {
  if (!(await stat(path)).isDirectory()) {
    const format = formatOf(path);
    if (format !== undefined) return [{ path, name: basename(path), format }];
    throw invalidSource(path, `expected ${known}, got "${extname(path)}"`);
  }
  const entries = await readdir(path, { withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .flatMap(({ name }): DataFile[] => {
      const format = formatOf(name);
      return format === undefined ? [] : [{ path: join(path, name), name, format }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (files.length === 0) throw invalidSource(path, `the directory has no ${known.slice(2)}`);
  const other = files.find(({ format }) => format !== files[0]!.format);
  if (other !== undefined) {
    const names = `${files[0]!.name} and ${other.name}`;
    throw invalidSource(path, `the directory has files of several formats (${names}); name one`);
  }
  return files;
}

/** Downloads the files of a split; of several formats in a repository the most frequent is its data's. */
async function hubFiles(id: string, split: string, settings: HubSettings): Promise<DataFile[]> {
  const repository = await openRepository('dataset', id, settings);
  const named = repository.files.filter(
    (file) => !DESCRIPTIVE.test(file) && !/(^|\/)\./.test(file),
  );
  const counts = new Map<DataFormat, number>();
  for (const file of named) {
    const format = formatOf(file);
    if (format !== undefined) counts.set(format, (counts.get(format) ?? 0) + 1);
  }
  const [format] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  if (format === undefined)
    throw invalidSource(id, `the data set on the hub has no ${known.slice(2)}`);
  await repository.fetch(['README.md']);
  const card = await readFile(join(repository.directory, 'README.md'), 'utf8').catch(() => null);
  const splits = splitsOf(
    named.filter((file) => formatOf(file) === format),
    card,
  );
  if (typeof splits === 'string') throw invalidSource(id, splits);
  const files = splits.get(split) ?? [];
  if (files.length === 0) {
    const names = [...splits.keys()].map((name) => `"${name}"`).join(', ');
    throw invalidSource(
      `${id}@${split}`,
      `the data set has no files of this split, but of ${names}`,
    );
  }
  await repository.fetch(files);
  return files.map((name) => ({ path: join(repository.directory, name), name, format }));
}

function formatOf(path: string): DataFormat | undefined {
  return formats[extname(path).toLowerCase()];
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function invalidSource(path: string, reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `${path}: ${reason}`, { detail: { file: path } });
}
