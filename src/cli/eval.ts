import { join } from 'node:path';
import type { Gather } from '../../transport/launch/cluster.ts';
import type { Config } from '../config/schema.ts';
import { ClusterCommand } from './cluster-command.ts';
import {
  configFromItems,
  folderFromItems,
  itemArgs,
  itemFlags,
  printConfig,
} from './config-items.ts';

export class Eval extends ClusterCommand {
  static override summary = 'Score a checkpoint on the validation set.';
  static override description =
    'Answers data.val_files with the validation sampling and scores the answers, as a validation of train ' +
    "does. Accuracy and log go to `eval` in the run's folder.";
  static override usage = 'eval config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> eval config=configs/cx-closed.yaml data.val_files=test.jsonl worker.actor.model.model_path=MODEL',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = itemFlags;

  async runOn(gather: Gather | undefined): Promise<void> {
    const { argv, flags } = await this.parse(Eval);
    const items = argv as string[];
    if (flags['print-config']) return printConfig(items);
    const config = validationOnly(await configFromItems(items, 'eval'));
    const { trainPolicy } = await import('../../actors/trainer/run.ts');
    const { runTraining } = await import('./run-training.ts');
    const { val_accuracy_before: accuracy, seconds } = await runTraining(
      config,
      trainPolicy,
      gather,
    );
    this.log(`accuracy ${accuracy?.toFixed(4) ?? 'not measured'} in ${seconds.toFixed(0)} s`);
  }

  async folder(): Promise<string> {
    const { argv } = await this.parse(Eval);
    return folderFromItems(argv as string[]);
  }
}

/** The config of a run that validates and stops, beside the run it may have come from. */
function validationOnly(config: Config): Config {
  const { algorithm, trainer } = config;
  return {
    ...config,
    algorithm: { ...algorithm, disableKl: true },
    trainer: {
      ...trainer,
      valOnly: true,
      valBeforeTrain: true,
      loadCheckpointPath: null,
      saveCheckpointPath: join(trainer.saveCheckpointPath ?? '.', 'eval'),
    },
  };
}
