import { answerText } from '../../src/data/answer.ts';
import type { Generation, RunDescription } from '../../src/loggers/logger.ts';
import { Loggers } from '../../src/loggers/open.ts';
import { phaseMetrics, type Metrics, type PhaseSeconds } from '../../src/metrics.ts';
import type { RunPlan, TrackingPlan } from './plan.ts';
import type { Reporter } from './reporter.ts';
import type { ScoredResponse } from './score.ts';

/**
 * The loggers of a run; a table of steps is drawn by the reporter.
 *
 * @param own what is to be said of the run besides its config, or otherwise
 */
export function openLoggers(
  { tracking, config, folder }: Pick<RunPlan, 'tracking' | 'config' | 'folder'>,
  reporter: Reporter,
  own: Pick<RunDescription, 'resumedAfter'> & Partial<RunDescription>,
): Loggers {
  const { logger, consoleForm, projectName, experimentName, valOnly } = tracking;
  const note = (text: string): void => reporter.note(text);
  const run = {
    project: projectName,
    experiment: experimentName,
    config,
    folder,
    isLook: valOnly,
    ...own,
  };
  return Loggers.open(logger, run, { environment: process.env, write: note, consoleForm, note });
}

/** Whether steps are shown as lines of a table. */
export function showsTable({ logger, consoleForm }: TrackingPlan): boolean {
  return logger.includes('console') && consoleForm === 'table';
}

/** An answer as the logs of generations show it. */
export function generationOf({ group, text, parts }: ScoredResponse): Generation {
  const { text: input, groundTruth } = group.prompt;
  return { input, output: text, label: answerText(groundTruth), score: parts['overall']! };
}

/** The metrics of a step with the phases around it, which count as its time. */
export function withTimeAround(metrics: Metrics, phases: PhaseSeconds): Metrics {
  const around = Object.values(phases).reduce((sum, seconds) => sum + seconds, 0);
  const step = metrics['timing_s/step']!;
  return {
    ...metrics,
    ...phaseMetrics(phases),
    'timing_s/step': step + around,
    'perf/time_per_step': step + around,
    'perf/throughput': (metrics['perf/throughput']! * step) / (step + around),
  };
}
