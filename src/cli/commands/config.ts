import { Args, Flags } from '@oclif/core';
import { explainKey, referenceTable } from '../../config/reference.ts';
import { ReportingCommand } from '../command.ts';
import { itemArgs, printConfig } from '../config-items.ts';

export class ConfigCommand extends ReportingCommand {
  static override summary = 'Print a resolved config, or explain a key of it.';
  static override usage = 'config [config=FILE] [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> config config=configs/cx-closed.yaml worker.rollout.n=10',
    '<%= config.bin %> config --explain worker.actor.clip_ratio_low',
    '<%= config.bin %> config --explain algorithm',
  ];
  static override strict = false;
  static override args: Record<string, ReturnType<typeof Args.string>> = itemArgs;
  static override flags = {
    explain: Flags.string({
      description: 'say what a key, or every key of a section, does, takes and is by default',
      helpValue: 'KEY',
      exclusive: ['table'],
    }),
    table: Flags.boolean({ description: 'print the reference of all keys as a Markdown table' }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(ConfigCommand);
    const print = (text: string): Promise<void> =>
      this.output.tell({ event: 'result', command: 'config', text }, text);
    if (flags.explain !== undefined) await print(explainKey(flags.explain));
    else if (flags.table) await print(referenceTable());
    else await printConfig(argv as string[], this.output);
  }
}
