import { join } from 'node:path';
import type { RunOptions } from '../../actors/trainer/run.ts';
import type { Config } from '../config/schema.ts';
import { createLogger } from '../log.ts';
import { interruptible } from './interrupt.ts';
import { TerminalReporter } from './terminal-reporter.ts';

/** Runs training with a log file in the run's folder, shown in the terminal, ended in order by Ctrl-C. */
export async function runTraining<T>(
  config: Config,
  work: (config: Config, options: RunOptions) => Promise<T>,
): Promise<T> {
  const folder = config.trainer.saveCheckpointPath ?? '.';
  await using log = createLogger({ path: join(folder, 'cxmind.log') });
  const reporter = new TerminalReporter();
  return await interruptible((signal) => work(config, { reporter, logger: log.logger, signal }));
}

/** The last lines of a run: accuracy before and after, and where the checkpoint is. */
export function describeSummary(summary: {
  readonly val_accuracy_before: number | null;
  readonly val_accuracy_after: number | null;
  readonly steps: number;
  readonly seconds: number;
  readonly checkpoint: string | null;
}): string[] {
  const { val_accuracy_before: before, val_accuracy_after: after, checkpoint } = summary;
  const shown = (accuracy: number | null): string => accuracy?.toFixed(3) ?? 'not measured';
  return [
    `validation accuracy ${shown(before)} before, ${shown(after)} after ${summary.steps} steps ` +
      `in ${summary.seconds.toFixed(0)} s`,
    ...(checkpoint === null ? [] : [`checkpoint ${checkpoint}`]),
  ];
}
