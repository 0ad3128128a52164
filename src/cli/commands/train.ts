import type { Gather } from '../../../transport/launch/cluster.ts';
import { ClusterCommand } from '../command.ts';
import type { CurriculumSummary } from '../../../actors/trainer/curriculum.ts';
import type { RunOptions } from '../../../actors/trainer/run.ts';
import type { RunSummary } from '../../../actors/run-folder/files.ts';
import type { Config } from '../../config/schema.ts';
import {
  folderFromItems,
  itemArgs,
  itemFlags,
  configFromItems,
  printConfig,
} from '../config-items.ts';

export class Train extends ClusterCommand {
  static override summary = 'Train a policy by reinforcement learning.';
  static override description =
    'Ctrl-C, SIGTERM, SIGHUP and SIGUSR2 save the last whole step and end: a step that has changed nothing yet is ' +
    'undone, another finished first, and the same command goes on from there as if nothing had happened. A second one ' +
    'ends it on the spot. SIGUSR1 saves and goes on.';
  static override usage = 'train config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> train config=configs/cx-closed.yaml data.train_files=closed.jsonl trainer.max_steps=10',
    '<%= config.bin %> train config=configs/cx-closed.yaml --print-config',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = itemFlags;

  async runOn(gather: Gather | undefined): Promise<void> {
    const { argv, flags } = await this.parse(Train);
    const items = argv as string[];
    if (flags['print-config']) return printConfig(items, this.output);
    const { config, stages } = await configFromItems(items, 'train', this.output);
    const { trainCurriculum } = await import('../../../actors/trainer/curriculum.ts');
    const { trainPolicy } = await import('../../../actors/trainer/run.ts');
    const { runTraining, tellSummary } = await import('../run-training.ts');
    const work = async (
      whole: Config,
      options: RunOptions,
    ): Promise<RunSummary | CurriculumSummary> => {
      if (stages.length === 0) return trainPolicy(whole, options);
      const named = stages.map((one) => ({ ...one.stage, config: one.config }));
      return trainCurriculum(named, whole.trainer.saveCheckpointPath ?? '.', options);
    };
    const { output } = this;
    const summary = await runTraining(config, work, { output, gather, saves: true });
    await tellSummary('train', summary, output);
  }

  async folder(): Promise<string> {
    const { argv } = await this.parse(Train);
    return folderFromItems(argv as string[]);
  }
}
