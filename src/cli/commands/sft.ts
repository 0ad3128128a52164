import { ReportingCommand } from '../command.ts';
import { configFromItems, itemArgs, itemFlags, printConfig } from '../config-items.ts';

export class Sft extends ReportingCommand {
  static override summary = 'Fine-tune a policy on the reference answers, as a warm start.';
  static override usage = 'sft config=FILE [path.to.key=value ...]';
  static override examples = [
    '<%= config.bin %> sft config=configs/quickstart.yaml sft.max_steps=20 sft.lr=1e-3',
  ];
  static override strict = false;
  static override args = itemArgs;
  static override flags = itemFlags;

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Sft);
    const items = argv as string[];
    if (flags['print-config']) return printConfig(items, this.output);
    const { config } = await configFromItems(items, 'sft', this.output);
    const { trainSupervised } = await import('../../../actors/trainer/warm-start.ts');
    const { runTraining } = await import('../run-training.ts');
    const { output } = this;
    const { steps, loss, validationLoss, checkpoint } = await runTraining(config, trainSupervised, {
      output,
      saves: true,
    });
    const lines = [`loss ${loss.toFixed(4)} after ${steps} steps`];
    if (validationLoss !== null) {
      const { before, after } = validationLoss;
      lines.push(`validation loss ${before.toFixed(4)} before, ${after.toFixed(4)} after`);
    }
    lines.push(`checkpoint ${checkpoint}`);
    const facts = { steps, loss, validation_loss: validationLoss, checkpoint };
    await output.tell({ event: 'result', command: 'sft', ...facts }, lines.join('\n'));
  }
}
