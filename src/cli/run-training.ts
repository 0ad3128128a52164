import { join } from 'node:path';
import type { RunOptions } from '../../actors/trainer/run.ts';
import type { Gather } from '../../transport/launch/cluster.ts';
import type { Config } from '../config/schema.ts';
import { createLogger } from '../log.ts';
import { interruptible, type Interruption } from './interrupt.ts';
import { TerminalReporter } from './terminal-reporter.ts';

/**
 * Runs training with a log file in the run's folder, shown in the terminal, ended in order by Ctrl-C.
 *
 * @param gather  brings the nodes together that it uses beside this process
 * @param sigterm `preempts` where the work saves a checkpoint and returns when its host is wanted back
 */
export async function runTraining<T>(
  config: Config,
  work: (config: Config, options: RunOptions) => Promise<T>,
  gather?: Gather,
  sigterm: 'interrupts' | 'preempts' = 'interrupts',
): Promise<T> {
  const folder = config.trainer.saveCheckpointPath ?? '.';
  await using log = createLogger({ path: join(folder, 'cxmind.log') });
  const options = { reporter: new TerminalReporter(), logger: log.logger };
  return await interruptible(
    (interruption) =>
      gather === undefined
        ? work(config, { ...options, ...interruption })
        : onCluster(gather, interruption, (nodes) => work(config, { ...options, ...nodes })),
    { sigterm },
  );
}

/** Does the work with the nodes of a cluster; when one of them fails, that is what ended it. */
async function onCluster<T>(
  gather: Gather,
  { signal, preemption }: Interruption,
  work: (nodes: Pick<RunOptions, 'nodes' | 'slots' | 'signal' | 'preemption'>) => Promise<T>,
): Promise<T> {
  // There is nothing to save yet while nodes are brought together.
  await using cluster = await gather(AbortSignal.any([signal, preemption]));
  const nodes = cluster.nodes.map(({ name, link, slots }) => ({
    name,
    link,
    resources: { slots },
  }));
  try {
    const either = AbortSignal.any([signal, cluster.signal]);
    return await work({ nodes, slots: cluster.slots, signal: either, preemption });
  } catch (error) {
    cluster.signal.throwIfAborted();
    throw error;
  }
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
