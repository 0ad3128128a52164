/** Files that a config names: which a run needs for its purpose, and whether they are there. */
import { existsSync, globSync } from 'node:fs';
import { resolve } from 'node:path';
import { localPath } from '../files.ts';
import { isHubId, readSource, rewardFileOf, sourceList, type DataSources } from './names.ts';
import { isTemplateText } from './derive.ts';
import type { Rule } from './rule.ts';
import type { Config } from './schema.ts';

/** Purpose of a config, which decides the files it has to name. */
export type Purpose = 'train' | 'sft' | 'eval';

interface FileKey {
  readonly key: string;
  /** Value of the key: a list of data sources, or one path or none. */
  readonly names: (config: Config) => DataSources | null;
  /** The fault of a name, in words, or undefined; a missing file when left out. */
  readonly problem?: (name: string, cwd: string) => string | undefined;
  /** Purposes that cannot do without it; none when left out. */
  readonly requiredFor?: readonly Purpose[];
  /** True where another key stands in for it. */
  readonly isReplaced?: (config: Config) => boolean;
  /** Purposes that read it at all; all when left out. */
  readonly usedFor?: readonly Purpose[];
}

function missingFile(name: string, cwd: string): string | undefined {
  return existsSync(resolve(cwd, localPath(name)))
    ? undefined
    : `no such file or directory: ${name}`;
}

/** The fault of a model's name; one like `owner/name` that is not here is looked for on the hub. */
function missingModel(name: string, cwd: string): string | undefined {
  return isHubId(name) ? undefined : missingFile(name, cwd);
}

function missingReward(name: string, cwd: string): string | undefined {
  return rewardFileOf(name) === undefined ? undefined : missingFile(name, cwd);
}

function missingSource(source: string, cwd: string): string | undefined {
  const found = readSource(source, cwd);
  if (found.kind === 'none') {
    const { name, problem } = found;
    const isList = name.includes(',');
    return `${problem}${name && `: ${name}`}${isList ? ' (a list is written as [a,b])' : ''}`;
  }
  const isUnmatched = found.kind === 'pattern' && globSync(found.name, { cwd }).length === 0;
  return isUnmatched ? `no file matches: ${found.name}` : undefined;
}

const fileKeys: readonly FileKey[] = [
  {
    key: 'worker.actor.model.model_path',
    names: ({ worker }) => worker.actor.model.modelPath,
    problem: missingModel,
    requiredFor: ['train', 'sft', 'eval'],
  },
  {
    key: 'worker.actor.model.tokenizer_path',
    names: ({ worker: { actor } }) =>
      actor.model.tokenizerPath === actor.model.modelPath ? null : actor.model.tokenizerPath,
    problem: missingModel,
  },
  {
    key: 'data.train_files',
    names: ({ data }) => data.trainFiles,
    problem: missingSource,
    requiredFor: ['train'],
    usedFor: ['train'],
  },
  {
    key: 'data.val_files',
    names: ({ data }) => data.valFiles,
    problem: missingSource,
    requiredFor: ['train', 'eval'],
    usedFor: ['train', 'eval'],
  },
  {
    key: 'sft.train_files',
    names: ({ sft }) => sft.trainFiles,
    problem: missingSource,
    requiredFor: ['sft'],
    usedFor: ['sft'],
  },
  {
    key: 'sft.val_files',
    names: ({ sft }) => sft.valFiles,
    problem: missingSource,
    usedFor: ['sft'],
  },
  {
    key: 'data.image_dir',
    names: ({ data }) => data.imageDir,
  },
  {
    key: 'data.format_prompt',
    names: ({ data }) => data.formatPrompt,
  },
  {
    key: 'data.override_chat_template',
    names: ({ data: { overrideChatTemplate: template } }) =>
      template === null || isTemplateText(template) ? null : template,
  },
  {
    key: 'worker.reward.reward_function',
    names: ({ worker: { reward } }) => reward.rewardFunction,
    problem: missingReward,
    requiredFor: ['train', 'eval'],
    usedFor: ['train', 'eval'],
    isReplaced: ({ worker: { reward } }) => reward.rewardFunctions.length > 0,
  },
  {
    key: 'worker.reward.reward_functions',
    names: ({ worker: { reward } }) =>
      reward.rewardFunctions.flatMap(({ rewardModel }) => rewardModel?.modelPath ?? []),
    usedFor: ['train', 'eval'],
  },
  {
    key: 'worker.reward.reward_functions',
    names: ({ worker: { reward } }) =>
      reward.rewardFunctions.flatMap(({ rewardFunction }) => rewardFunction ?? []),
    problem: missingReward,
    usedFor: ['train', 'eval'],
  },
  {
    key: 'worker.rollout.multi_turn.environment',
    names: ({ worker: { rollout } }) =>
      rewardFileOf(rollout.multiTurn.environment ?? '')?.file ?? null,
  },
  {
    key: 'trainer.load_checkpoint_path',
    names: ({ trainer }) => trainer.loadCheckpointPath,
    usedFor: ['train'],
  },
];

/**
 * Rules that every file which a run reads is named and exists.
 *
 * The reference drops a missing template, reward file or checkpoint with a printed line and trains without;
 * here each is an error before anything starts.
 */
export function fileRules(purpose: Purpose, cwd: string): Rule[] {
  return fileKeys
    .filter(({ usedFor }) => usedFor?.includes(purpose) ?? true)
    .map(({ key, names, problem = missingFile, requiredFor, isReplaced }): Rule => ({
      keys: [key],
      broken: (config) => {
        const named = sourceList(names(config) ?? '');
        if (named.length === 0) {
          const isNeeded = requiredFor?.includes(purpose) === true && isReplaced?.(config) !== true;
          return isNeeded ? 'needed and not set' : undefined;
        }
        const problems = named.flatMap((name) => problem(name, cwd) ?? []);
        return problems.length === 0 ? undefined : problems.join('; ');
      },
    }));
}
