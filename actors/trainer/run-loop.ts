import { join } from 'node:path';
import { trainingSteps } from '../../src/config/derive.ts';
import { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { chosenGenerations } from '../../src/loggers/generations.ts';
import type { RunEnd } from '../../src/loggers/logger.ts';
import type { Loggers } from '../../src/loggers/open.ts';
import type { Metrics } from '../../src/metrics.ts';
import { initialGateState } from '../../src/reward/gate.ts';
import {
  hasAdvanced,
  initialAdvanceState,
  observe,
  type AdvanceRule,
} from '../../src/training/advance.ts';
import type { Logger } from '../runtime/actor.ts';
import { initialKlController } from './advantages.ts';
import { Checkpoints, restore, type ResumePoint } from './checkpoints.ts';
import { RunFiles, type RunSummary } from './run-files.ts';
import { trainingStep, type RunState, type StepContext, type StepResult } from './step.ts';
import { Stopwatch } from './stopwatch.ts';
import { folderOf, generationOf, openLoggers, withTimeAround } from './tracking.ts';
import { validate, type Validation } from './validation.ts';

/** What the loop takes from whoever starts a run. */
export interface LoopOptions {
  readonly logger: Logger;
  /** Aborts when the run is to save a checkpoint at once, and return. */
  readonly preemption?: AbortSignal;
  /** Ends the run before its steps are taken. */
  readonly advance?: AdvanceRule | null;
}

/** Steps in a row without one finite gradient, after which a run gives up. */
const MAX_NONFINITE_STEPS = 3;

/** Where a run begins, or goes on. */
interface Opened {
  readonly step: number;
  readonly steps: number;
  readonly state: RunState;
  /** Hugging Face directory of the checkpoint that it goes on from. */
  readonly checkpoint: string | null;
}

/** One run: its files, its loggers, its checkpoints and the loop. */
export class RunLoop implements AsyncDisposable {
  readonly #context: StepContext;
  readonly #logger: Logger;
  readonly #preemption: AbortSignal;
  readonly #started: number;
  readonly #checkpoints: Checkpoints;
  readonly #advance: AdvanceRule | null;
  #files: RunFiles | null = null;
  #loggers: Loggers | null = null;
  #end: RunEnd = 'failed';
  #validationPrompts = 0;
  #before: Validation | null = null;
  #last: { step: number; validation: Validation } | null = null;

  constructor(context: StepContext, options: LoopOptions, started: number) {
    const { trainer } = context.config;
    this.#context = context;
    this.#logger = options.logger;
    this.#preemption = options.preemption ?? new AbortController().signal;
    this.#advance = options.advance ?? null;
    this.#started = started;
    this.#checkpoints = new Checkpoints(folderOf(context.config), {
      limit: trainer.saveLimit,
      modelOnly: trainer.saveModelOnly,
    });
  }

  /** Opens files and loggers, restores, validates. */
  async open(): Promise<Opened> {
    const { cast, config, reporter } = this.#context;
    const { trainer } = config;
    const files = await RunFiles.open(folderOf(config), Config.encode(config));
    this.#files = files;
    const summary = await cast.data.ask.summary(undefined, { timeoutMs: 60_000 });
    this.#validationPrompts = summary.validationPrompts;
    reporter.note(
      `${summary.trainPrompts} training prompts, ${summary.validationPrompts} for validation` +
        (summary.overlong > 0 ? `, ${summary.overlong} too long and left out` : '') +
        (summary.skipped > 0 ? `, ${summary.skipped} invalid and skipped` : ''),
    );
    for (const note of summary.notes) reporter.note(note);
    const resumed = await this.#resume();
    const step = resumed?.step ?? 0;
    const unfinished = resumed?.unfinished ?? null;
    let state = resumed?.state ?? initialState(this.#context);
    this.#context.weights.publish(step + 1);
    this.#context.cast.critics?.begin();
    // The line of an unfinished step may be there already, from an earlier attempt to finish it.
    const logged = unfinished === null ? step : step - 1;
    if (!trainer.valOnly) await files.keepUntil(resumed === null ? -1 : logged);
    this.#loggers = openLoggers(config, reporter, resumed === null ? null : logged);
    const steps = trainer.valOnly ? step : trainingSteps(config, summary.trainPrompts);
    if (trainer.valBeforeTrain || trainer.valOnly || unfinished !== null) {
      const isNew = resumed === null || unfinished !== null;
      this.#before = await this.#validate(step, state, isNew);
      // The gate of a resumed run has seen this validation already, as that of a run that never stopped.
      if (this.#before !== null && isNew) state = { ...state, validationGate: this.#before.gate };
      if (this.#before !== null && unfinished !== null) {
        const metrics = { ...unfinished, ...this.#before.metrics };
        state = this.#observed(state, metrics);
        await this.#log(step, metrics);
        await this.#checkpoints.score(step, this.#score());
      } else if (this.#before !== null) {
        this.#loggers.log(step, this.#before.metrics);
      }
    }
    return { step, steps, state, checkpoint: resumed?.checkpoint ?? null };
  }

  /** Trains to the end, or until it is preempted, and writes the summary. */
  async finish(opened: Opened): Promise<RunSummary> {
    const { trainer } = this.#context.config;
    const { steps } = opened;
    let { step, state, checkpoint } = opened;
    let saved = step;
    let unfinished: Metrics | null = null;
    let nonFinite = 0;
    while (step < steps && !this.#hasAdvanced(step, state) && !this.#preemption.aborted) {
      const result = await this.#step(state, step + 1, steps);
      if (result === null) break;
      step++;
      ({ state } = result);
      await this.#files?.trained(step, result.trained);
      nonFinite = this.#countNonFinite(result, step, nonFinite);
      let { metrics } = result;
      const clock = new Stopwatch(this.#context.timeline);
      const validate = async (): Promise<void> => {
        const validation = await clock.time('validation', () => this.#validate(step, state, true));
        if (validation === null) return;
        metrics = { ...metrics, ...validation.metrics };
        state = { ...state, validationGate: validation.gate };
      };
      const isLastByCount = step === steps;
      if (isLastByCount || isDue(trainer.valFreq, step)) {
        await validate();
        if (this.#wasCutOff(step)) {
          unfinished = metrics;
          break;
        }
      }
      state = this.#observed(state, metrics);
      const isLast = isLastByCount || this.#hasAdvanced(step, state);
      if (isLast && this.#last?.step !== step) await validate();
      // Before the checkpoint has its name: a resumed run removes the lines that are ahead of it, but cannot add one.
      const write = (saving: { readonly save_checkpoint?: number }): Promise<void> =>
        this.#log(step, withTimeAround(metrics, { ...clock.seconds, ...saving }));
      if (isLast || isDue(trainer.saveFreq, step)) {
        checkpoint = await this.#save(step, state, null, (seconds) =>
          write({ save_checkpoint: seconds }),
        );
        saved = step;
      } else {
        await write({});
      }
      this.#report(step, steps, result);
    }
    const isDone = unfinished === null && (step === steps || this.#hasAdvanced(step, state));
    const isPreempted = this.#preemption.aborted && !isDone;
    if (isPreempted) {
      if (saved < step) checkpoint = await this.#save(step, state, unfinished, async () => {});
      this.#context.reporter.note(
        `stopped after step ${step} of ${steps}; the same command goes on from there`,
      );
    } else if (this.#last?.step !== step) {
      const validation = await this.#validate(step, state, true);
      if (validation !== null) this.#loggers?.log(step, validation.metrics);
    }
    const summary: RunSummary = {
      val_accuracy_before: this.#before?.accuracy ?? null,
      val_accuracy_after: this.#last?.validation.accuracy ?? null,
      steps: step,
      seconds: (performance.now() - this.#started) / 1000,
      checkpoint,
      ...(isPreempted && { preempted: true }),
    };
    await this.#files?.summary(summary);
    this.#end = 'finished';
    return summary;
  }

  #hasAdvanced(step: number, { advance }: RunState): boolean {
    return this.#advance !== null && hasAdvanced(advance, step, this.#advance);
  }

  /** The state after the metrics of a step, validation included, were seen. */
  #observed(state: RunState, metrics: Metrics): RunState {
    if (this.#advance === null) return state;
    return { ...state, advance: observe(state.advance, metrics, this.#advance) };
  }

  /** Whether the validation of a step was asked for and cut off. */
  #wasCutOff(step: number): boolean {
    return this.#preemption.aborted && this.#validationPrompts > 0 && this.#last?.step !== step;
  }

  /** Ends the loggers and writes the timeline, however the run ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { config, timeline } = this.#context;
    await this.#loggers?.finish(this.#end);
    if (config.trainer.rayTimeline !== null) await timeline?.write(config.trainer.rayTimeline);
  }

  /** A training step; null when the run was preempted before it changed anything. */
  async #step(state: RunState, step: number, steps: number): Promise<StepResult | null> {
    const { signal, timeline } = this.#context;
    const undo = new AbortController();
    const cancel = (): void => undo.abort(this.#preemption.reason);
    this.#preemption.addEventListener('abort', cancel);
    if (timeline !== null) timeline.step = step;
    try {
      const context = {
        ...this.#context,
        signal: AbortSignal.any([signal, undo.signal]),
        beginUpdate: () => {
          undo.signal.throwIfAborted();
          this.#preemption.removeEventListener('abort', cancel);
        },
      };
      return await trainingStep(context, state, { step, steps });
    } catch (error) {
      if (undo.signal.aborted && !signal.aborted) return null;
      throw error;
    } finally {
      this.#preemption.removeEventListener('abort', cancel);
    }
  }

  /** Restores the checkpoint that the run goes on from; null for a run that begins. */
  async #resume(): Promise<(ResumePoint & { readonly checkpoint: string }) | null> {
    const { cast, reporter } = this.#context;
    const folder = await this.#resumeFolder();
    if (folder === null) return null;
    const resumed = await restore(folder, cast);
    await this.#checkpoints.recallBest(folder, resumed.step);
    const { cursor, replay } = resumed.state;
    await cast.data.ask.seek(cursor, { timeoutMs: 60_000 });
    for (const [i, { data }] of this.#context.replays.entries()) {
      await data.ask.seek(replay[i]!.cursor, { timeoutMs: 60_000 });
    }
    reporter.note(`resumed from ${folder}`);
    return { ...resumed, checkpoint: join(folder, 'actor', 'huggingface') };
  }

  async #resumeFolder(): Promise<string | null> {
    const { loadCheckpointPath, findLastCheckpoint, valOnly } = this.#context.config.trainer;
    if (loadCheckpointPath !== null) return loadCheckpointPath;
    const newest = findLastCheckpoint && !valOnly ? await this.#checkpoints.newest() : null;
    if (newest?.is !== 'missing') return newest?.folder ?? null;
    this.#context.reporter.note(`${newest.folder} is gone, so training starts from the beginning`);
    return null;
  }

  /**
   * Validates; null without validation prompts, and when the run was preempted meanwhile.
   *
   * @param isNew whether its answers are to be written down, or were so before a resume
   */
  async #validate(step: number, state: RunState, isNew: boolean): Promise<Validation | null> {
    if (this.#validationPrompts === 0) return null;
    const { config, signal, reporter } = this.#context;
    let validation: Validation;
    try {
      const context = {
        ...this.#context,
        signal: AbortSignal.any([signal, this.#preemption]),
      };
      validation = await validate(context, this.#validationPrompts, state.validationGate);
    } catch (error) {
      if (this.#preemption.aborted && !signal.aborted) return null;
      throw error;
    }
    this.#last = { step, validation };
    this.#score();
    const shown = chosenGenerations(
      validation.scored.map(generationOf),
      config.trainer.valGenerationsToLog,
    );
    if (isNew) await this.#files?.generations(step, shown);
    this.#loggers?.logGenerations(step, shown);
    this.#logger.info({ step, ...validation.metrics }, 'validation');
    reporter.note(`validation at step ${step}: accuracy ${validation.accuracy.toFixed(3)}`);
    return validation;
  }

  /**
   * The score of the newest validation, which makes a checkpoint the best; 0 without one.
   *
   * @throws CONFIG_INVALID when `trainer.best_metric` is none of its metrics
   */
  #score(): number {
    const metrics = this.#last?.validation.metrics;
    if (metrics === undefined) return 0;
    const { bestMetric } = this.#context.config.trainer;
    const score = metrics[bestMetric];
    if (score !== undefined) return score;
    throw new CxmindError(
      'CONFIG_INVALID',
      `trainer.best_metric: expected one of ${Object.keys(metrics).join(', ')}, got ${bestMetric}`,
    );
  }

  async #log(step: number, metrics: Metrics): Promise<void> {
    await this.#files?.metrics(step, metrics);
    this.#loggers?.log(step, metrics);
  }

  async #save(
    step: number,
    state: RunState,
    unfinished: Metrics | null,
    beforeNaming: (seconds: number) => Promise<void>,
  ): Promise<string> {
    const clock = new Stopwatch(this.#context.timeline);
    const request = { step, state, score: this.#score(), unfinished, beforeNaming };
    const path = await clock.time('save_checkpoint', () =>
      this.#checkpoints.save(this.#context.cast, request),
    );
    this.#logger.info({ step, path }, 'checkpoint');
    return path;
  }

  #countNonFinite({ metrics }: StepResult, step: number, before: number): number {
    const norms = [metrics['actor/grad_norm'], metrics['critic/grad_norm']];
    if (norms.every((norm) => norm === undefined || Number.isFinite(norm))) return 0;
    this.#logger.warn({ step }, 'gradient is not finite, update skipped');
    this.#context.reporter.note(`step ${step}: the gradient is not finite, its update was skipped`);
    if (before + 1 < MAX_NONFINITE_STEPS) return before + 1;
    throw new CxmindError(
      'NUMERIC_NONFINITE',
      `the gradient was not finite in ${MAX_NONFINITE_STEPS} steps in a row, the last being ${step}; ` +
        'lower worker.actor.optim.lr and resume from the newest checkpoint',
      { detail: { step } },
    );
  }

  #report(step: number, steps: number, { metrics, accuracy }: StepResult): void {
    this.#logger.info({ step, ...metrics }, 'step');
    const { logger, consoleForm } = this.#context.config.trainer;
    if (!logger.includes('console') || consoleForm !== 'table') return;
    const of = (name: string): number => metrics[name] ?? NaN;
    this.#context.reporter.step({
      step,
      steps,
      reward: of('critic/score/mean'),
      accuracy,
      kl: metrics['actor/kl_loss'] ?? metrics['actor/kl_penalty'] ?? of('actor/ppo_kl'),
      clipFraction: of('actor/pg_clipfrac_higher'),
      gradNorm: of('actor/grad_norm'),
      responseLength: of('response_length/mean'),
      tokensPerSecond: of('perf/throughput'),
      seconds: of('perf/time_per_step'),
    });
  }
}

function initialState({ config, replays }: StepContext): RunState {
  return {
    cursor: { epoch: 0, position: 0 },
    replay: replays.map(() => ({ cursor: { epoch: 0, position: 0 }, gate: initialGateState })),
    advance: initialAdvanceState,
    gate: initialGateState,
    validationGate: initialGateState,
    klController: initialKlController(config),
  };
}

function isDue(frequency: number, step: number): boolean {
  return frequency > 0 && step % frequency === 0;
}
