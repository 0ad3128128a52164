import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { isTemplateText } from './derive.ts';
import { rewardFileOf } from './reward-file.ts';
import type { Rule } from './rules.ts';
import { isHubId } from './hub-id.ts';
import type { Config } from './schema.ts';

/** What a config is loaded for, which decides the files it has to name. */
export type Purpose = 'train' | 'sft' | 'eval';

interface FileKey {
  readonly key: string;
  readonly path: (config: Config) => string | null;
  /** The purposes that cannot do without it. */
  readonly requiredFor: readonly Purpose[];
  /** The purposes that read it at all. */
  readonly usedFor: readonly Purpose[];
  /** Whether it may also be the id of a repository on the Hugging Face Hub. */
  readonly mayBeOnHub?: true;
}

const everywhere: readonly Purpose[] = ['train', 'sft', 'eval'];

/** A data source without its `@split`. */
function sourceFile(source: string): string | null {
  const at = source.lastIndexOf('@');
  const isSplit = at > 0 && /^\w+$/.test(source.slice(at + 1));
  return (isSplit ? source.slice(0, at) : source) || null;
}

const fileKeys: readonly FileKey[] = [
  {
    key: 'worker.actor.model.model_path',
    path: ({ worker }) => worker.actor.model.modelPath,
    requiredFor: everywhere,
    usedFor: everywhere,
    mayBeOnHub: true,
  },
  {
    key: 'worker.actor.model.tokenizer_path',
    path: ({ worker: { actor } }) =>
      actor.model.tokenizerPath === actor.model.modelPath ? null : actor.model.tokenizerPath,
    requiredFor: [],
    usedFor: everywhere,
    mayBeOnHub: true,
  },
  {
    key: 'data.train_files',
    path: ({ data }) => sourceFile(data.trainFiles),
    requiredFor: ['train'],
    usedFor: ['train'],
    mayBeOnHub: true,
  },
  {
    key: 'data.val_files',
    path: ({ data }) => sourceFile(data.valFiles),
    requiredFor: ['train', 'eval'],
    usedFor: ['train', 'eval'],
    mayBeOnHub: true,
  },
  {
    key: 'sft.train_files',
    path: ({ sft }) => sourceFile(sft.trainFiles ?? ''),
    requiredFor: ['sft'],
    usedFor: ['sft'],
    mayBeOnHub: true,
  },
  {
    key: 'data.image_dir',
    path: ({ data }) => data.imageDir,
    requiredFor: [],
    usedFor: everywhere,
  },
  {
    key: 'data.format_prompt',
    path: ({ data }) => data.formatPrompt,
    requiredFor: [],
    usedFor: everywhere,
  },
  {
    key: 'data.override_chat_template',
    path: ({ data: { overrideChatTemplate: template } }) =>
      template === null || isTemplateText(template) ? null : template,
    requiredFor: [],
    usedFor: everywhere,
  },
  {
    key: 'worker.reward.reward_function',
    path: ({ worker: { reward } }) => reward.rewardFunction,
    requiredFor: ['train', 'eval'],
    usedFor: ['train', 'eval'],
  },
  {
    key: 'trainer.load_checkpoint_path',
    path: ({ trainer }) => trainer.loadCheckpointPath,
    requiredFor: [],
    usedFor: ['train'],
  },
];

/**
 * Every file a run reads must be named and be there.
 *
 * The reference drops a missing template, reward file or checkpoint with a printed line and trains without;
 * here each is an error before anything starts. A name like `owner/name` that is not here is looked for on the hub.
 */
export function fileRules(purpose: Purpose, cwd: string): Rule[] {
  return fileKeys
    .filter(({ usedFor }) => usedFor.includes(purpose))
    .map(({ key, path, requiredFor, mayBeOnHub }): Rule => ({
      keys: [key],
      broken: (config) => {
        const file = path(config);
        if (file === null) return requiredFor.includes(purpose) ? 'needed and not set' : undefined;
        const isBuiltIn =
          key === 'worker.reward.reward_function' && rewardFileOf(file) === undefined;
        if (isBuiltIn || existsSync(resolve(cwd, file))) return undefined;
        if (mayBeOnHub === true && isHubId(file)) return undefined;
        return `no such file or directory: ${file}`;
      },
    }));
}
