/** Data files that a config's data sources name, on this machine or on the Hugging Face Hub. */
import { glob, readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { readSource, type DataSources } from '../config/names.ts';
import { CxmindError } from '../errors.ts';
import { readWhole } from '../files.ts';
import { hubSettings } from '../hub/settings.ts';
import { savedShards } from './saved-dataset.ts';

/** Format of a data file, which decides its reader. JSON and JSON Lines are told apart by content. */
export type DataFormat = 'json' | 'csv' | 'parquet' | 'arrow';

/** File with rows of a data set. */
export interface DataFile {
  readonly path: string;
  /** Name of the file, unique in its data set. The name does not depend on where the data set lies. */
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
/** JSON files that describe data and hold none. */
const DESCRIPTIVE = /(^|\/)(dataset_infos?|dataset_dict|state|config|package(-lock)?)\.json$/;
/** Hidden files, which systems and programs leave behind. */
const HIDDEN = /(^|\/)\.[^/]*$/;

/**
 * Files of data sources, in order.
 *
 * A source is `SOURCE[@SPLIT]`. SOURCE is a file, a directory (its files in name order), a pattern of files, a
 * directory that `save_to_disk` of `datasets` wrote, or the id of a data set on the Hugging Face Hub. SPLIT is `train`
 * by default. Local data have other splits only if `save_to_disk` wrote them.
 *
 * @throws DATA_INVALID if there is no such source or split, or it holds no data
 */
export async function dataFilesOf(sources: DataSources): Promise<readonly DataFile[]> {
  const files = await Array.fromAsync([sources].flat(), filesOf);
  return withOwnNames(files.flat());
}

/** Makes names unique: a file with the name of an earlier one gets a number. */
function withOwnNames(files: readonly DataFile[]): DataFile[] {
  const counts = new Map<string, number>();
  return files.map((file) => {
    const count = (counts.get(file.name) ?? 0) + 1;
    counts.set(file.name, count);
    return count === 1 ? file : { ...file, name: `${file.name}#${count}` };
  });
}

async function filesOf(source: string): Promise<readonly DataFile[]> {
  const found = readSource(source);
  switch (found.kind) {
    case 'path':
      return localFiles(found.name, found.split);
    case 'pattern':
      return matchingFiles(found.name, found.split);
    case 'hub':
      return hubFiles(found.name, found.split);
    case 'none':
      throw invalidSource(found.name, found.problem);
  }
}

async function localFiles(path: string, split: string): Promise<DataFile[]> {
  const isDirectory = (await stat(path)).isDirectory();
  const shards = isDirectory ? await savedShards(path, split) : undefined;
  if (shards !== undefined) {
    return shards.map((shard) => ({ path: shard, name: basename(shard), format: 'arrow' }));
  }
  checkSplit(path, split);
  if (!isDirectory) {
    const format = formatOf(path);
    if (format !== undefined) return [{ path, name: basename(path), format }];
    throw invalidSource(path, `expected ${known}, got "${extname(path)}"`);
  }
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  const files = dataFilesAmong(names.map((name) => join(path, name)));
  if (files.length === 0) throw invalidSource(path, `the directory has no ${known.slice(2)}`);
  return ofOneFormat(files, path, 'the directory has');
}

/** Files whose paths match a pattern, in name order. */
async function matchingFiles(pattern: string, split: string): Promise<DataFile[]> {
  checkSplit(pattern, split);
  const files = dataFilesAmong(await Array.fromAsync(glob(pattern)));
  if (files.length === 0) throw invalidSource(pattern, `no ${known.slice(2)} matches`);
  return ofOneFormat(files, pattern, 'the pattern matches');
}

function checkSplit(path: string, split: string): void {
  if (split === 'train') return;
  throw invalidSource(path, `local files have only the split "train", not "${split}"`);
}

/** Data files among paths, sorted. */
function dataFilesAmong(paths: readonly string[]): DataFile[] {
  return paths
    .filter((path) => !DESCRIPTIVE.test(path) && !HIDDEN.test(path))
    .flatMap((path): DataFile[] => {
      const format = formatOf(path);
      return format === undefined ? [] : [{ path, name: basename(path), format }];
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

function ofOneFormat(files: DataFile[], source: string, what: string): DataFile[] {
  const other = files.find(({ format }) => format !== files[0]!.format);
  if (other === undefined) return files;
  const names = `${files[0]!.name} and ${other.name}`;
  throw invalidSource(source, `${what} files of several formats (${names}); name one`);
}

/** Downloads the files of a split. The most frequent format of a repository is the format of its data. */
async function hubFiles(id: string, split: string): Promise<DataFile[]> {
  const { openRepository } = await import('../hub/repository.ts');
  const repository = await openRepository('dataset', id, hubSettings());
  const named = repository.files.filter(
    (file) => !DESCRIPTIVE.test(file) && !/(^|\/)\./.test(file),
  );
  const byFormat = [...Map.groupBy(named, formatOf)].sort(([, a], [, b]) => b.length - a.length);
  const [format, data = []] = byFormat.find(([one]) => one !== undefined) ?? [];
  if (format === undefined)
    throw invalidSource(id, `the data set on the hub has no ${known.slice(2)}`);
  await repository.fetch(['README.md']);
  const card = await readWhole(join(repository.directory, 'README.md')).catch(() => null);
  // Imported late, since only a data set of the hub has a card, whose YAML takes a parser of 70 modules.
  const { splitsOf } = await import('./hub-splits.ts');
  const splits = splitsOf(data, card?.toString() ?? null);
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

function invalidSource(path: string, reason: string): CxmindError {
  return new CxmindError('DATA_INVALID', `${path}: ${reason}`, { detail: { file: path } });
}
