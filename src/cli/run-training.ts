/** Work of a run inside a command: its log, its display, its signals and its nodes, and the summary it ends with. */
import { join } from 'node:path';
import type { CurriculumSummary } from '../../actors/trainer/curriculum.ts';
import type { RunOptions } from '../../actors/trainer/run.ts';
import type { RunSummary } from '../../actors/run-folder/files.ts';
import type { Gather } from '../../transport/launch/cluster.ts';
import type { Config } from '../config/schema.ts';
import { createLogger } from '../log.ts';
import { interruptible, type Interruption } from './interrupt.ts';
import type { Output } from './output/output.ts';

/**
 * Runs work with a log file in the run's folder, and shows its steps. Ctrl-C ends it in order.
 *
 * @param options.output is told how the run goes
 * @param options.gather brings together the nodes that the run uses beside this process
 * @param options.saves  true for work that saves and returns when it is asked to
 */
export async function runTraining<T>(
  config: Config,
  work: (config: Config, options: RunOptions) => Promise<T>,
  {
    output,
    gather,
    saves = false,
  }: {
    readonly output: Output;
    readonly gather?: Gather | undefined;
    readonly saves?: boolean;
  },
): Promise<T> {
  const folder = config.trainer.saveCheckpointPath ?? '.';
  await using log = createLogger({ path: join(folder, 'cxmind.log') });
  using reporter = output.reporter();
  const options = { reporter, logger: log.logger };
  return await interruptible(
    (interruption) =>
      gather === undefined
        ? work(config, { ...options, ...interruption })
        : onCluster(gather, interruption, (nodes) => work(config, { ...options, ...nodes })),
    saves ? (line) => output.warn(line) : null,
  );
}

/** Runs the work with the nodes of a cluster. The error of a failed node takes precedence over the work's own. */
async function onCluster<T>(
  gather: Gather,
  { signal, ...saving }: Interruption,
  work: (nodes: Pick<RunOptions, 'nodes' | 'slots' | keyof Interruption>) => Promise<T>,
): Promise<T> {
  // There is nothing to save yet while nodes are brought together.
  await using cluster = await gather(AbortSignal.any([signal, saving.preemption]));
  const nodes = cluster.nodes.map(({ name, link, slots }) => ({
    name,
    link,
    resources: { slots },
  }));
  try {
    const either = AbortSignal.any([signal, cluster.signal]);
    return await work({ nodes, slots: cluster.slots, signal: either, ...saving });
  } catch (error) {
    cluster.signal.throwIfAborted();
    throw error;
  }
}

/** Tells the result of a run: accuracy before and after it, or each of its stages, and the checkpoint. */
export async function tellSummary(
  command: string,
  summary: RunSummary | CurriculumSummary,
  output: Output,
): Promise<void> {
  const { checkpoint } = summary;
  const lines = [
    ...('stages' in summary
      ? summary.stages.map((stage) => `stage ${stage.name}: ${accuracyLine(stage)}`)
      : [accuracyLine(summary)]),
    ...(checkpoint === null ? [] : [`checkpoint ${checkpoint}`]),
  ];
  await output.tell({ event: 'result', command, ...summary }, lines.join('\n'), (text, style) =>
    text.replace(/\baccuracy .*/g, style.strong),
  );
}

function accuracyLine(summary: RunSummary): string {
  const { val_accuracy_before: before, val_accuracy_after: after, steps, seconds } = summary;
  const shown = (accuracy: number | null): string => accuracy?.toFixed(3) ?? 'not measured';
  return (
    `accuracy ${shown(before)} before, ${shown(after)} after ${steps} steps ` +
    `in ${seconds.toFixed(0)} s`
  );
}
