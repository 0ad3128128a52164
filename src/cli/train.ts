import { Command } from '@oclif/core';
import { configFromItems, itemArgs, itemFlags, printConfig } from './config-items.ts';

export class Train extends Command {
  static override summary = 'Train a policy by reinforcement learning.';
  static override usage = 'train config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> train config=configs/cx-closed.yaml data.train_files=closed.jsonl trainer.max_steps=10',
    '<%= config.bin %> train config=configs/cx-closed.yaml --print-config',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = itemFlags;

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Train);
    const items = argv as string[];
    if (flags['print-config']) return printConfig(items);
    const config = await configFromItems(items, 'train');
    const { trainPolicy } = await import('../../actors/trainer/run.ts');
    const { describeSummary, runTraining } = await import('./run-training.ts');
    const summary = await runTraining(config, trainPolicy);
    for (const line of describeSummary(summary)) this.log(line);
  }
}
