/** Stages of a curriculum: the config that each of them is, and the rules that hold between them. */
import { join } from 'node:path';
import { asMapping } from '../check/codec.ts';
import type { Stage } from './curriculum-schema.ts';
import { pathOf } from '../check/issues.ts';
import { merge, type Layer } from './merge.ts';
import type { Rule } from './rule.ts';
import type { Config } from './schema.ts';

/** The tree that a stage lays over the rest of the config. */
function stageValue({ data, reward, epochs, steps, overrides }: Stage, folder: string): unknown {
  const length = {
    ...(epochs === null ? {} : { total_epochs: epochs, max_steps: null }),
    ...(steps === null ? {} : { max_steps: steps }),
  };
  const trainer = { ...length, save_checkpoint_path: folder };
  return merge(overrides, { data, worker: { reward }, trainer });
}

/** Paths that a stage's own keys have in its config. */
const targets: Readonly<Record<string, string>> = {
  data: 'data',
  reward: 'worker.reward',
  overrides: '',
  epochs: 'trainer.total_epochs',
  steps: 'trainer.max_steps',
};

/**
 * The whole config of one stage, as input of the schema.
 *
 * @param base      the file's tree, references resolved
 * @param index     place of the stage in `curriculum`
 * @param runFolder folder of the whole run; the stage's is inside it
 */
export function stageLayer(base: Layer, stage: Stage, index: number, runFolder: string): Layer {
  const { curriculum: _, ...rest } = base.value;
  const folder = join(runFolder, `${index + 1}-${stage.name}`);
  const value = asMapping(merge(rest, stageValue(stage, folder))) ?? {};
  const prefix = `${stagePath(index)}.`;
  const inside = [...base.sources].filter(([path]) => path.startsWith(prefix));
  const moved = inside.flatMap(([path, source]): [string, string][] => {
    const [first = '', ...keys] = path.slice(prefix.length).split('.');
    const target = targets[first];
    return target === undefined ? [] : [[[target, ...keys].filter(Boolean).join('.'), source]];
  });
  return { value, sources: new Map([...base.sources, ...moved]) };
}

/** Prompts of each share of a batch, rounded; what is left is for the stage's own. */
export function promptsOfShares(shares: readonly number[], batchSize: number): number[] {
  return shares.map((share) => Math.round(share * batchSize));
}

/** The fault of a stage's `mix` at the size of its batches, in words; undefined where it has none. */
export function mixProblem({ mix }: Stage, { data }: Config): string | undefined {
  const batchSize = data.miniRolloutBatchSize ?? data.rolloutBatchSize;
  const shares = promptsOfShares(Object.values(mix), batchSize);
  const own = shares.reduce((rest, share) => rest - share, batchSize);
  if (own >= 1 && shares.every((share) => share >= 1)) return undefined;
  const counts = Object.keys(mix).map((name, i) => `${shares[i]!} of ${name}`);
  return `of ${batchSize} prompts, ${counts.join(', ')} and ${own} of its own: each needs one at least`;
}

/** The path of a stage, as issues name it. */
export function stagePath(index: number): string {
  return pathOf(['curriculum', String(index)]);
}

/** Rules between the stages of a curriculum. */
export const curriculumRules: readonly Rule[] = [
  {
    keys: ['curriculum'],
    broken: ({ curriculum }) => {
      const names = curriculum.map(({ name }) => name);
      const twice = names.find((name, index) => names.indexOf(name) < index);
      return twice === undefined ? undefined : `two stages are called ${twice}`;
    },
  },
  {
    keys: ['curriculum'],
    broken: ({ curriculum }) => {
      for (const [index, { name, mix }] of curriculum.entries()) {
        const earlier = curriculum.slice(0, index).map((stage) => stage.name);
        const unknown = Object.keys(mix).find((other) => !earlier.includes(other));
        if (unknown !== undefined) return `${name} mixes in ${unknown}, which is no earlier stage`;
        const total = Object.values(mix).reduce((sum, share) => sum + share, 0);
        if (total >= 1) return `${name} leaves no prompts to its own data: mix adds up to ${total}`;
      }
      return undefined;
    },
  },
  {
    keys: ['curriculum'],
    broken: ({ curriculum }) => {
      const odd = curriculum.find(
        ({ advance }) => advance !== null && (advance.above === null) === (advance.below === null),
      );
      return odd === undefined
        ? undefined
        : `${odd.name}.advance takes either above or below, and one of them`;
    },
  },
  {
    keys: ['trainer.load_checkpoint_path', 'curriculum'],
    broken: ({ curriculum, trainer }) =>
      curriculum.length === 0 || trainer.loadCheckpointPath === null
        ? undefined
        : 'a curriculum goes on by itself from the newest checkpoint of the stage it was in',
  },
];
