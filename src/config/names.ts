/** Names in a config: of data, of repositories on the hub, of reward functions in files. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { localPath } from '../files.ts';

/** Sources of rows: one, or a list of them in their order; an empty text is none. */
export type DataSources = string | readonly string[];

/** A source by its kind, as this machine can tell it. */
export type DataSource =
  | {
      /** A path that exists, a pattern that may match some, or an id that the hub may have. */
      readonly kind: 'path' | 'pattern' | 'hub';
      /** Name of the source without the split. */
      readonly name: string;
      readonly split: string;
    }
  | {
      readonly kind: 'none';
      readonly name: string;
      /** Reason why it names nothing. */
      readonly problem: string;
    };

const PATTERN = /[*?[\]{}]/;

/** The sources as a list, which is empty where there are none. */
export function sourceList(sources: DataSources): readonly string[] {
  return sources === '' ? [] : [sources].flat();
}

/**
 * Reads `SOURCE[@SPLIT]`: a file or a directory, a pattern of files, or the id of a data set on the hub.
 *
 * The split is `train` unless it is given. A path that exists by its whole name has no split, since a file may have an
 * `@` in its name.
 *
 * @param cwd folder that relative paths start from
 */
export function readSource(source: string, cwd: string = process.cwd()): DataSource {
  const isThere = (path: string): boolean => path !== '' && existsSync(resolve(cwd, path));
  const whole = localPath(source);
  if (isThere(whole)) return { kind: 'path', name: whole, split: 'train' };
  const [before = '', split = 'train', ...more] = source.split('@');
  const name = localPath(before);
  if (more.length > 0) return { kind: 'none', name: source, problem: 'more than one @' };
  if (isThere(name)) return { kind: 'path', name, split };
  if (PATTERN.test(name)) return { kind: 'pattern', name, split };
  if (isHubId(name)) return { kind: 'hub', name, split };
  const problem = name === '' ? 'an empty name' : 'no such file or directory';
  return { kind: 'none', name, problem };
}

const HUB_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;
const DATA_FILE = /\.(jsonl|json|csv|parquet|arrow|txt)$/i;

/**
 * Tells whether a name that is no file here may be that of a repository on the Hugging Face Hub: `owner/name`.
 *
 * The reference takes every missing path for an id on the hub; here a mistyped path stays a path.
 */
export function isHubId(name: string): boolean {
  return HUB_ID.test(name) && !DATA_FILE.test(name);
}

/** A function in a user's file. */
export interface RewardFile {
  readonly file: string;
  readonly name: string;
}

/**
 * The function that `worker.reward.reward_function` names by its file, `./file.ts:score`.
 *
 * @param usualName name of the function where only the file is named
 * @returns undefined for a built-in reward, whose name has no dot, slash or colon
 */
export function rewardFileOf(spec: string, usualName = 'main'): RewardFile | undefined {
  if (!/[:/\\.]/.test(spec)) return undefined;
  const [, file = spec, name = usualName] = /^(.+):([^:/\\]+)$/s.exec(spec) ?? [];
  return { file, name };
}
