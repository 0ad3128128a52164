/** Records of a run's steps and validations: its files, its loggers, and the table of steps. */
import { resolve } from 'node:path';
import { answerText } from '../../../src/data/row.ts';
import type { Generation, RunDescription, RunEnd } from '../../../src/loggers/logger.ts';
import { Loggers, type LoggerSurroundings } from '../../../src/loggers/open.ts';
import { prefixed, type Metrics, type PhaseSeconds } from '../../../src/metrics.ts';
import type { RunPlan } from '../plan.ts';
import type { StepLine } from './reporter.ts';
import type { RunFiles } from '../../run-folder/files.ts';
import type { ScoredResponse } from '../score.ts';
import { SampleLog } from './sample-log.ts';

/** The metrics and answers of a run, as its files and its loggers keep them. The reporter draws the table of steps. */
export class RunLog implements AsyncDisposable {
  readonly files: RunFiles;
  /** Keeps the responses of steps; null where the run does not. */
  readonly rollouts: SampleLog | null;
  /** Keeps all answers of validations; null where the run does not. */
  readonly answers: SampleLog | null;
  readonly #loggers: Loggers;
  #end: RunEnd = 'failed';

  /**
   * Opens the loggers that the config names.
   *
   * @param display.write     shows the text of the console logger, which has prompts and answers, and so is in no log
   * @param display.note      tells the user something, one line
   * @param described replaces the plan's description of the run
   */
  constructor(
    { trainer, config, folder }: Pick<RunPlan, 'trainer' | 'config' | 'folder'>,
    files: RunFiles,
    display: Pick<LoggerSurroundings, 'write' | 'note'>,
    described: Pick<RunDescription, 'resumedAfter'> & Partial<RunDescription>,
  ) {
    const { logger, consoleForm, projectName: project, experimentName: experiment } = trainer;
    const run = { project, experiment, config, folder, isLook: trainer.valOnly, ...described };
    const samplesIn = (name: string | null): SampleLog | null =>
      name === null ? null : new SampleLog(resolve(files.folder, name));
    this.files = files;
    this.#loggers = new Loggers(logger, run, {
      environment: process.env,
      consoleForm,
      ...display,
    });
    this.rollouts = samplesIn(trainer.rolloutDataDir);
    this.answers = samplesIn(trainer.validationDataDir);
  }

  /**
   * Removes samples of steps that are taken anew.
   *
   * @param step     the last step that was trained
   * @param finished the last step whose metrics are complete
   */
  async keepSamplesUntil(step: number, finished: number): Promise<void> {
    await this.rollouts?.keepUntil(step);
    await this.answers?.keepUntil(finished);
  }

  /** Writes the metrics of a step. */
  async step(step: number, metrics: Metrics): Promise<void> {
    await this.files.metrics(step, metrics);
    this.#loggers.log(step, metrics);
  }

  /**
   * Gives metrics to the loggers alone: those of a validation whose line is in the file already, or does not belong
   * there, as in a run that only validates.
   */
  show(step: number, metrics: Metrics): void {
    this.#loggers.log(step, metrics);
  }

  /** Writes chosen answers of a validation. @param isNew false where the file has them already */
  async generations(step: number, shown: readonly Generation[], isNew: boolean): Promise<void> {
    if (isNew) await this.files.generations(step, shown);
    this.#loggers.logGenerations(step, shown);
  }

  /** Marks the run as finished, which it is also when it was stopped in order; else it counts as failed. */
  finish(): void {
    this.#end = 'finished';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loggers.finish(this.#end);
  }
}

/** True where the console shows steps as lines of a table. */
export function showsTable({ logger, consoleForm }: RunPlan['trainer']): boolean {
  return logger.includes('console') && consoleForm === 'table';
}

/** The line of a step in the table. */
export function stepLine(
  metrics: Metrics,
  place: Pick<StepLine, 'step' | 'steps' | 'accuracy' | 'secondsLeft'>,
): StepLine {
  const of = (name: string): number => metrics[name] ?? NaN;
  return {
    ...place,
    reward: of('critic/score/mean'),
    kl: metrics['actor/kl_loss'] ?? metrics['actor/kl_penalty'] ?? of('actor/ppo_kl'),
    clipFraction: of('actor/pg_clipfrac_higher'),
    gradNorm: of('actor/grad_norm'),
    responseLength: of('response_length/mean'),
    tokensPerSecond: of('perf/throughput'),
    seconds: of('perf/time_per_step'),
  };
}

/** An answer as the logs of generations show it. */
export function generationOf({ group, text, parts }: ScoredResponse): Generation {
  const { context, groundTruth } = group.prompt;
  return {
    input: context.text,
    output: text,
    label: answerText(groundTruth),
    score: parts['overall']!,
  };
}

/** Adds the phases around a step, validation and checkpoint, to its time. */
export function withTimeAround(metrics: Metrics, phases: PhaseSeconds): Metrics {
  const around = Object.values(phases).reduce((sum, seconds) => sum + seconds, 0);
  const step = metrics['timing_s/step']!;
  return {
    ...metrics,
    ...prefixed('timing_s', phases),
    'timing_s/step': step + around,
    'perf/time_per_step': step + around,
    'perf/throughput': (metrics['perf/throughput']! * step) / (step + around),
  };
}
