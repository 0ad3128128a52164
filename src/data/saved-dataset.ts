import { join } from 'node:path';
import * as t from 'io-ts';
import { jsonIn } from '../check/json.ts';
import { CxmindError } from '../errors.ts';

const Splits = t.type({ splits: t.array(t.string) });
const State = t.type({ _data_files: t.array(t.type({ filename: t.string })) });

/**
 * Arrow files of a directory that `save_to_disk` of `datasets` wrote; undefined for any other directory.
 *
 * @param split name of a split; a directory without splits has only `train`
 * @throws DATA_INVALID if the directory lacks the split
 */
export async function savedShards(
  directory: string,
  split: string,
): Promise<readonly string[] | undefined> {
  const dict = await jsonIn(Splits, join(directory, 'dataset_dict.json'));
  if (dict !== undefined) {
    if (dict.splits.includes(split)) return savedShards(join(directory, split), 'train');
    throw noSplit(directory, split, dict.splits);
  }
  const state = await jsonIn(State, join(directory, 'state.json'));
  if (state === undefined) return undefined;
  if (split !== 'train') throw noSplit(directory, split, ['train']);
  return state._data_files.map(({ filename }) => join(directory, filename));
}

function noSplit(directory: string, split: string, splits: readonly string[]): CxmindError {
  const names = splits.map((name) => `"${name}"`).join(', ');
  return new CxmindError(
    'DATA_INVALID',
    `${directory}@${split}: the saved data set has no split "${split}", but ${names}`,
    { detail: { file: directory } },
  );
}
