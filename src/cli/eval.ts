import { join, resolve } from 'node:path';
import type { Gather } from '../../transport/launch/cluster.ts';
import type { Config } from '../config/schema.ts';
import { CxmindError } from '../errors.ts';
import { ClusterCommand } from './cluster-command.ts';
import { evalFlags, type EvalFlags } from './eval-flags.ts';
import { configFromItems, folderFromItems, itemArgs, printConfig } from './config-items.ts';

/** Flags that stand for items of the config. */
const itemsOfFlags = {
  n: 'worker.rollout.val_override_config.n',
  temperature: 'worker.rollout.val_override_config.temperature',
  'top-p': 'worker.rollout.val_override_config.top_p',
  'top-k': 'worker.rollout.val_override_config.top_k',
  seed: 'worker.rollout.val_override_config.seed',
  'max-tokens': 'data.max_response_length',
} as const;

export class Eval extends ClusterCommand {
  static override summary = 'Evaluate a checkpoint on closed or open questions.';
  static override description =
    'Answers data.val_files with the validation sampling, scores the answers, and writes into `eval` in the ' +
    "run's folder: predictions.jsonl, to which each answer is appended as its record with `predict`, `correct` (for " +
    'open questions `jaccard` too), as the released scripts do, and `scores`; summary.json; report.html with the ' +
    'pictures. Rows may be of this form or records with `messages` and `images`.';
  static override usage = 'eval config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> eval config=configs/cx-closed.yaml data.val_files=test.jsonl worker.actor.model.model_path=MODEL',
    '<%= config.bin %> eval config=configs/cx-open.yaml data.val_files=tests/ --limit 50 --temperature 1 --n 8 --k 1,4,8',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = evalFlags;

  async runOn(gather: Gather | undefined): Promise<void> {
    const { argv, flags } = await this.parse(Eval);
    const items = [...(argv as string[]), ...flagItems(flags)];
    if (flags['print-config']) return printConfig(items);
    const ks = ksOf(flags.k);
    const config = evaluationOnly(await configFromItems(items, 'eval'), flags.out);
    const { evaluate } = await import('./evaluate.ts');
    const { evaluationTable } = await import('./evaluation-table.ts');
    const { summary, files, seconds } = await evaluate(config, flags, ks, gather);
    for (const line of evaluationTable(summary)) this.log(line);
    for (const file of files) this.log(file);
    this.log(`accuracy ${summary.accuracy.toFixed(4)} in ${seconds.toFixed(0)} s`);
  }

  async folder(): Promise<string> {
    const { argv } = await this.parse(Eval);
    return folderFromItems(argv as string[]);
  }
}

function flagItems(flags: EvalFlags): string[] {
  return Object.entries(itemsOfFlags).flatMap(([flag, key]) => {
    const value = flags[flag as keyof typeof itemsOfFlags];
    return value === undefined ? [] : [`${key}=${value}`];
  });
}

/** @throws CONFIG_INVALID for anything but positive integers */
function ksOf(text: string): number[] {
  const ks = text.split(',').map(Number);
  if (ks.every((k) => Number.isInteger(k) && k > 0)) return ks;
  throw new CxmindError('CONFIG_INVALID', `--k: expected numbers as in 1,2,4, got ${text}`);
}

/** The config of an evaluation, beside the run it may have come from. */
function evaluationOnly(config: Config, out: string | undefined): Config {
  const { algorithm, trainer } = config;
  const folder = out === undefined ? join(trainer.saveCheckpointPath ?? '.', 'eval') : resolve(out);
  return {
    ...config,
    algorithm: { ...algorithm, disableKl: true },
    trainer: { ...trainer, nnodes: 1, saveCheckpointPath: folder },
  };
}
