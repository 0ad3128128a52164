import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
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
import { Checkpoints, type ResumePoint } from './checkpoints.ts';
import { reportData } from './data-report.ts';
import { isDue } from './due.ts';
import { goOn } from './going-on.ts';
import { IdleWatch } from './idle-watch.ts';
import { profiled } from './profile.ts';
import { RunFiles, type RunSummary } from './run-files.ts';
import { trainingStep, type StepResult } from './step.ts';
import type { RunState, StepContext } from './context.ts';
import { Stopwatch } from './stopwatch.ts';
import { generationOf, openLoggers, showsTable, withTimeAround } from './tracking.ts';
import { validate, type Validation } from './validation.ts';

/** What the loop takes from whoever starts a run. */
export interface LoopOptions {
  readonly logger: Logger;
  /** Aborts when the run is to save a checkpoint at once, and return. */
  readonly preemption?: AbortSignal;
  /** An event `save` asks for a checkpoint at once, while training goes on. */
  readonly saveRequests?: EventTarget;
  /** Aborts when an actor is lost that has a part of what would be saved. */
  readonly lost?: AbortSignal;
  /** Ends the run before its steps are taken. */
  readonly advance?: AdvanceRule | null;
}

/** Steps in a row without one finite gradient, after which a run gives up. */
const MAX_NONFINITE_STEPS = 3;

/** Where a run begins, or goes on. */
interface Opened {
  readonly steps: number;
  /** What the run came to, where it had come to its end before. */
  readonly done: RunSummary | null;
}

const nothing = (): Promise<void> => Promise.resolve();

/** One run: its files, its loggers, its checkpoints and the loop. */
export class RunLoop implements AsyncDisposable {
  readonly #context: StepContext;
  readonly #logger: Logger;
  readonly #preemption: AbortSignal;
  readonly #lost: AbortSignal;
  readonly #saveRequests: EventTarget;
  readonly #started: number;
  readonly #checkpoints: Checkpoints;
  readonly #advance: AdvanceRule | null;
  readonly #idle = new IdleWatch();
  #files: RunFiles | null = null;
  #loggers: Loggers | null = null;
  #end: RunEnd = 'failed';
  #validationPrompts = 0;
  #before: Validation | null = null;
  #last: { step: number; validation: Validation } | null = null;
  /** What a checkpoint would say now. */
  #at: ResumePoint;
  /** Whether the weights are those after that step, rather than in the middle of the next. */
  #isWhole = true;
  /** The newest checkpoint: its step, and its Hugging Face directory. */
  #saved: { readonly step: number; readonly checkpoint: string | null } = {
    step: 0,
    checkpoint: null,
  };
  /** Settles when no checkpoint is being written; one at a time. */
  #saving: Promise<void> = nothing();
  /** Whether a checkpoint was asked for that has to wait for the end of a step. */
  #isSaveAsked = false;
  /** Steps in a row without a finite gradient. */
  #nonFinite = 0;
  /** Whether a step since the newest checkpoint had a finite gradient. */
  #hasLearned = false;

  constructor(context: StepContext, options: LoopOptions, started: number) {
    const { loop, folder } = context.plan;
    const never = new AbortController().signal;
    this.#context = context;
    this.#logger = options.logger;
    this.#preemption = options.preemption ?? never;
    this.#lost = options.lost ?? never;
    this.#saveRequests = options.saveRequests ?? new EventTarget();
    this.#advance = options.advance ?? null;
    this.#started = started;
    this.#checkpoints = new Checkpoints(folder, {
      limit: loop.saveLimit,
      modelOnly: loop.saveModelOnly,
    });
    this.#at = { step: 0, state: initialState(context), unfinished: null, accuracyBefore: null };
  }

  /** Runs to the end: opens, trains, and writes the summary. @throws what ends it, with the last whole step saved */
  async run(): Promise<RunSummary> {
    const { steps, done } = await this.#open();
    if (done !== null) return done;
    const onSave = (): void => this.#onSaveRequest();
    this.#saveRequests.addEventListener('save', onSave);
    try {
      await this.#train(steps);
      return await this.#conclude(steps);
    } catch (error) {
      await this.#rescue(error, steps);
      throw error;
    } finally {
      this.#saveRequests.removeEventListener('save', onSave);
      await this.#saving;
    }
  }

  /** Opens files and loggers, restores, validates. */
  async #open(): Promise<Opened> {
    const { actors, plan, reporter } = this.#context;
    const { loop } = plan;
    const files = await RunFiles.open(plan.folder);
    this.#files = files;
    const summary = await actors.task.data.ask.summary(undefined, { timeoutMs: 60_000 });
    this.#validationPrompts = summary.validationPrompts;
    reportData(summary, reporter);
    const resumed = await goOn(this.#context, this.#checkpoints, files);
    // A look at a run's folder leaves what the run itself wrote there.
    if (!loop.valOnly || !existsSync(join(files.folder, 'config.json'))) {
      await files.config(plan.config);
    }
    if (resumed !== null) {
      this.#at = resumed;
      this.#saved = resumed;
    }
    const { step, unfinished } = this.#at;
    const steps = loop.valOnly ? step : loop.stepsOver(summary.trainPrompts);
    const done = resumed === null || loop.valOnly ? null : await this.#doneBefore(steps);
    if (done !== null) return { steps, done };
    this.#context.weights.publish(step + 1);
    actors.critics?.begin();
    // The line of an unfinished step may be there already, from an earlier attempt to finish it.
    const logged = unfinished === null ? step : step - 1;
    if (!loop.valOnly) {
      await (resumed === null ? files.keepUntil(-1, -1) : files.keepUntil(step, logged));
    }
    this.#loggers = openLoggers(plan, reporter, {
      resumedAfter: resumed === null ? null : logged,
    });
    if (loop.valBeforeTrain || loop.valOnly || unfinished !== null) {
      await this.#validateBefore(resumed === null);
    }
    return { steps, done: null };
  }

  /** The summary of a run that has come to its end, which is left as it is. */
  async #doneBefore(steps: number): Promise<RunSummary | null> {
    const { step, unfinished } = this.#at;
    const isDone = unfinished === null && this.#isAtEnd(steps);
    const summary = isDone ? await this.#files!.earlierSummary() : null;
    if (summary === null || summary.preempted === true || summary.steps !== step) return null;
    this.#context.reporter.note(
      `${this.#files!.folder}: this run is done, ${step} of ${steps} steps, and stays as it is; ` +
        'for more steps raise trainer.max_steps or total_epochs',
    );
    this.#end = 'finished';
    // the folder may have moved since
    return { ...summary, checkpoint: this.#saved.checkpoint };
  }

  /** Validates before the first step of this process, which for a step that was cut off is its own validation. */
  async #validateBefore(isBegin: boolean): Promise<void> {
    const { step, unfinished } = this.#at;
    const isNew = isBegin || unfinished !== null;
    const before = await this.#validate(step, this.#at.state, isNew);
    if (before === null) return;
    this.#before = before;
    // The gate of a resumed run has seen this validation already, as that of a run that never stopped.
    if (isNew)
      this.#at = { ...this.#at, state: { ...this.#at.state, validationGate: before.gate } };
    if (isBegin) this.#at = { ...this.#at, accuracyBefore: before.accuracy };
    if (unfinished === null) {
      this.#loggers?.log(step, before.metrics);
      return;
    }
    const metrics = { ...unfinished, ...before.metrics };
    this.#at = { ...this.#at, state: this.#observed(this.#at.state, metrics), unfinished: null };
    await this.#log(step, metrics);
    await this.#checkpoints.score(step, this.#score());
  }

  /** Takes steps until the last one, or until it is preempted. */
  async #train(steps: number): Promise<void> {
    const { loop } = this.#context.plan;
    if (loop.profile !== null && loop.profile > steps) {
      const text = `trainer.profile: there is no step ${loop.profile}, the run has ${steps}`;
      this.#context.reporter.note(text);
    }
    const [began, from] = [performance.now(), this.#at.step];
    while (!this.#isAtEnd(steps) && !this.#preemption.aborted) {
      const place = { step: this.#at.step + 1, folder: this.#files!.folder };
      const result = await profiled(this.#context, place, () => this.#step(steps));
      if (result === null) return;
      const { step } = this.#at;
      await this.#files?.trained(step, result.trained);
      const pace = (performance.now() - began) / 1000 / (step - from);
      this.#report(steps, result, pace * (steps - step));
      this.#countNonFinite(result, step);
      let { metrics } = result;
      const clock = new Stopwatch(this.#context.timeline);
      const validateNow = async (): Promise<void> => {
        const { state } = this.#at;
        const validation = await clock.time('validation', () => this.#validate(step, state, true));
        if (validation === null) return;
        metrics = { ...metrics, ...validation.metrics };
        this.#at = { ...this.#at, state: { ...state, validationGate: validation.gate } };
      };
      if (step === steps || isDue(loop.valFreq, step)) {
        await validateNow();
        if (this.#wasCutOff(step)) return;
      }
      const state = this.#observed(this.#at.state, metrics);
      const isLast = step === steps || this.#hasAdvanced(step, state);
      if (isLast && this.#last?.step !== step) await validateNow();
      this.#at = { ...this.#at, state: { ...this.#at.state, advance: state.advance } };
      // Before the checkpoint has its name: a resumed run removes the lines that are ahead of it, but cannot add one.
      const write = async (saving: { readonly save_checkpoint?: number }): Promise<void> => {
        await this.#log(step, withTimeAround(metrics, { ...clock.seconds, ...saving }));
        this.#at = { ...this.#at, unfinished: null };
      };
      if (isLast || isDue(loop.saveFreq, step) || this.#isSaveAsked) {
        await this.#save({ ...this.#at, unfinished: null }, (seconds) =>
          write({ save_checkpoint: seconds }),
        );
      } else {
        await write({});
      }
    }
  }

  /** Saves what was preempted, validates at the end, and writes the summary. */
  async #conclude(steps: number): Promise<RunSummary> {
    const { loop } = this.#context.plan;
    const { step, unfinished } = this.#at;
    const isDone = unfinished === null && this.#isAtEnd(steps);
    const isPreempted = this.#preemption.aborted && !isDone;
    if (isPreempted) {
      if (this.#saved.step < step) await this.#save(this.#at, nothing);
      const where = step === 0 ? 'before its first step' : `after step ${step} of ${steps}`;
      const saved = step === 0 ? '' : `, saved in ${this.#files!.folder}`;
      this.#context.reporter.note(`stopped ${where}${saved}; the same command goes on from there`);
    } else if (this.#last?.step !== step) {
      const validation = await this.#validate(step, this.#at.state, true);
      if (validation !== null) this.#loggers?.log(step, validation.metrics);
    }
    const summary: RunSummary = {
      val_accuracy_before: this.#at.accuracyBefore ?? this.#before?.accuracy ?? null,
      val_accuracy_after: this.#last?.validation.accuracy ?? null,
      steps: step,
      seconds: (performance.now() - this.#started) / 1000,
      checkpoint: this.#saved.checkpoint,
      ...(isPreempted && { preempted: true }),
    };
    const isLook = loop.valOnly && (await this.#files!.earlierSummary()) !== null;
    if (!isLook) await this.#files?.summary(summary);
    this.#end = 'finished';
    return summary;
  }

  /** Saves the last whole step of a run that fails, as far as that is possible, and says where it stands. */
  async #rescue(failure: unknown, steps: number): Promise<void> {
    const { step } = this.#at;
    const { reporter } = this.#context;
    const folder = this.#files!.folder;
    const isSavable = this.#isWhole && this.#hasLearned && !this.#lost.aborted;
    try {
      if (isSavable && this.#saved.step < step) await this.#save(this.#at, nothing);
    } catch (error) {
      const { message } = asCxmindError(error);
      if (message !== asCxmindError(failure).message) reporter.note(`not saved: ${message}`);
    }
    if (this.#context.plan.loop.valOnly) return;
    const { step: saved } = this.#saved;
    const where = step === 0 ? 'in the first step' : `after step ${step} of ${steps}`;
    reporter.note(
      saved === 0
        ? `stopped ${where}; there is no checkpoint in ${folder} yet, the same command starts anew`
        : `stopped ${where}; step ${saved} is saved in ${folder}, the same command goes on from there`,
    );
  }

  #onSaveRequest(): void {
    const { step } = this.#at;
    if (!this.#isWhole) {
      this.#isSaveAsked = true;
    } else if (this.#saved.step < step) {
      const saved = this.#save(this.#at, nothing).then(() => `saved step ${step}, going on`);
      saved
        .catch((error: unknown) => `warning: step ${step}: ${asCxmindError(error).message}`)
        .then((text) => this.#context.reporter.note(text))
        .catch(() => undefined);
    } else {
      this.#context.reporter.note(`step ${step} is saved already, going on`);
    }
  }

  #isAtEnd(steps: number): boolean {
    return this.#at.step >= steps || this.#hasAdvanced(this.#at.step, this.#at.state);
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
    const { plan, timeline } = this.#context;
    const { rayTimeline } = plan.loop;
    await this.#loggers?.finish(this.#end);
    if (rayTimeline !== null) await timeline?.write(rayTimeline);
  }

  /** A training step; null when the run was preempted before it changed anything. */
  async #step(steps: number): Promise<StepResult | null> {
    const { signal, timeline } = this.#context;
    const step = this.#at.step + 1;
    const undo = new AbortController();
    const cancel = (): void => undo.abort(this.#preemption.reason);
    this.#preemption.addEventListener('abort', cancel);
    if (timeline !== null) timeline.step = step;
    try {
      const context = {
        ...this.#context,
        signal: AbortSignal.any([signal, undo.signal]),
        beginUpdate: async () => {
          await this.#saving;
          undo.signal.throwIfAborted();
          this.#preemption.removeEventListener('abort', cancel);
          this.#isWhole = false;
        },
      };
      const result = await trainingStep(context, this.#at.state, { step, steps });
      const { state, metrics } = result;
      this.#at = { ...this.#at, step, state, unfinished: metrics };
      this.#isWhole = true;
      return result;
    } catch (error) {
      if (undo.signal.aborted && !signal.aborted) return null;
      throw error;
    } finally {
      this.#preemption.removeEventListener('abort', cancel);
    }
  }

  /**
   * Validates; null without validation prompts, and when the run was preempted meanwhile.
   *
   * @param isNew whether its answers are to be written down, or were so before a resume
   */
  async #validate(step: number, state: RunState, isNew: boolean): Promise<Validation | null> {
    if (this.#validationPrompts === 0) return null;
    const { plan, signal, reporter } = this.#context;
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
      plan.loop.valGenerationsToLog,
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
    const { bestMetric } = this.#context.plan.loop;
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

  /** Saves a checkpoint once those before it are written. */
  #save(at: ResumePoint, beforeNaming: (seconds: number) => Promise<void>): Promise<void> {
    const saved = this.#saving.then(async () => {
      const { step } = at;
      const clock = new Stopwatch(this.#context.timeline);
      const request = { ...at, score: this.#score(), beforeNaming };
      const checkpoint = await clock.time('save_checkpoint', () =>
        this.#checkpoints.save(this.#context.actors, request),
      );
      this.#saved = { step, checkpoint };
      this.#isSaveAsked = false;
      this.#hasLearned = false;
      this.#logger.info({ step, path: checkpoint }, 'checkpoint');
    });
    this.#saving = saved.catch(() => undefined);
    return saved;
  }

  #countNonFinite({ metrics }: StepResult, step: number): void {
    const norms = [metrics['actor/grad_norm'], metrics['critic/grad_norm']];
    if (norms.every((norm) => norm === undefined || Number.isFinite(norm))) {
      this.#nonFinite = 0;
      this.#hasLearned = true;
      return;
    }
    this.#nonFinite++;
    this.#logger.warn({ step }, 'gradient is not finite, update skipped');
    this.#context.reporter.note(`step ${step}: the gradient is not finite, its update was skipped`);
    if (this.#nonFinite < MAX_NONFINITE_STEPS) return;
    throw new CxmindError(
      'NUMERIC_NONFINITE',
      `the gradient was not finite in ${MAX_NONFINITE_STEPS} steps in a row, the last being ${step}; ` +
        'lower worker.actor.optim.lr and resume from the newest checkpoint',
      { detail: { step } },
    );
  }

  #report(steps: number, { metrics, accuracy }: StepResult, secondsLeft: number): void {
    const { step } = this.#at;
    this.#logger.info({ step, ...metrics }, 'step');
    const warning = this.#idle.observe(metrics, accuracy);
    if (warning !== null) this.#context.reporter.note(warning);
    if (!showsTable(this.#context.plan.tracking)) return;
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
      secondsLeft,
    });
  }
}

function initialState({ actors, plan }: StepContext): RunState {
  return {
    cursor: { epoch: 0, position: 0 },
    replay: actors.replays.map(() => ({ cursor: { epoch: 0, position: 0 }, gate: initialGateState })),
    advance: initialAdvanceState,
    gate: initialGateState,
    validationGate: initialGateState,
    klController: initialKlController(plan.step.algorithm),
  };
}
