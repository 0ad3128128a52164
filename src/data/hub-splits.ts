/** Splits of data sets on the Hugging Face Hub, by the rules of the package `datasets`. */
import { posix } from 'node:path';
import * as t from 'io-ts';
import { parseYaml } from '../config/yaml.ts';

/** Files of a data set by split name. */
export type Splits = ReadonlyMap<string, readonly string[]>;

const patterns = t.union([t.string, t.array(t.string)]);
const DataFiles = t.union([patterns, t.array(t.type({ split: t.string, path: patterns }))]);
const CardConfig = t.intersection([
  t.type({ config_name: t.string }),
  t.partial({ default: t.boolean, data_files: DataFiles, data_dir: t.string }),
]);
type CardConfig = t.TypeOf<typeof CardConfig>;
const Card = t.type({ configs: t.array(CardConfig) });

/** Words of a path that name each split. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'dev', 'val'],
  test: ['test', 'testing', 'eval', 'evaluation'],
};

/**
 * Splits of a data set on the hub. They follow from the `configs` of its card, else from words in the paths of its
 * data files. If no path has such a word, all files are `train`.
 *
 * @param files data files of the repository, sorted
 * @param card  text of its README.md, or null
 * @returns the splits, or a sentence that says why there are none
 * @see the data set structure in the documentation of `datasets`
 */
export function splitsOf(files: readonly string[], card: string | null): Splits | string {
  const configs = configsOf(card);
  if (configs.length === 0) return byName(files);
  const chosen =
    configs.length === 1
      ? configs[0]
      : configs.find((config) => config.default === true || config.config_name === 'default');
  if (chosen === undefined) {
    const names = configs.map(({ config_name }) => config_name).join(', ');
    return `its card has the configs ${names} and says of none that it is the default`;
  }
  return byCard(files, chosen);
}

/** Configs of a card that name data files. A card may hold anything else. */
function configsOf(card: string | null): readonly CardConfig[] {
  const front = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(card ?? '')?.[1];
  if (front === undefined) return [];
  const { value } = parseYaml(front, { file: 'README.md' });
  const configs = Card.is(value) ? value.configs : [];
  return configs.filter(
    ({ data_files, data_dir }) => data_files !== undefined || data_dir !== undefined,
  );
}

function byCard(
  files: readonly string[],
  { data_files, data_dir = '.' }: CardConfig,
): Splits | string {
  const within = (globs: string | readonly string[]): string[] =>
    [globs].flat().map((glob) => posix.join(data_dir, glob));
  const matching = (globs: string | readonly string[]): string[] =>
    files.filter((file) => within(globs).some((glob) => posix.matchesGlob(file, glob)));
  const entries =
    data_files === undefined
      ? [{ split: '', path: '**' }]
      : typeof data_files === 'string' || isListOfText(data_files)
        ? [{ split: 'train', path: data_files }]
        : data_files;
  const dear = entries.flatMap(({ path }) => within(path)).find((glob) => !isCheap(glob));
  if (dear !== undefined) return `its card has a pattern with too many wildcards: ${dear}`;
  if (data_files === undefined) return byName(matching('**'));
  return new Map(entries.map(({ split, path }) => [split, matching(path)]));
}

/**
 * Tells whether a pattern is cheap to match. A card may come from anybody, and a matcher tries every way to divide a
 * name among the stars of a part, and every word that braces expand to.
 */
function isCheap(glob: string): boolean {
  const count = (what: RegExp, text = glob): number => text.match(what)?.length ?? 0;
  if (glob.length > 200 || count(/[()]|\{[^}]*\.\./) > 0 || count(/\{/g) > 2) return false;
  return count(/\*\*/g) <= 2 && glob.split('/').every((part) => count(/\*+/g, part) <= 3);
}

function isListOfText(value: readonly unknown[]): value is readonly string[] {
  return value.every((item) => typeof item === 'string');
}

function byName(files: readonly string[]): Splits {
  const sharded = files.flatMap((file) => {
    const split = /^data\/(\w[\w.]*)-\d{5}-of-\d{5}[^/]*\.\w+$/.exec(file)?.[1];
    return split === undefined ? [] : [{ split, file }];
  });
  const named = sharded.length > 0 ? sharded : files.flatMap(splitInPath);
  if (named.length === 0) return new Map([['train', files]]);
  const splits = new Map<string, string[]>();
  for (const { split, file } of named) splits.set(split, [...(splits.get(split) ?? []), file]);
  return splits;
}

function splitInPath(file: string): { split: string; file: string }[] {
  return Object.entries(KEYWORDS)
    .filter(([, words]) =>
      new RegExp(`(^|[-._ 0-9/])(${words.join('|')})([-._ 0-9/]|$)`).test(file),
    )
    .map(([split]) => ({ split, file }));
}
