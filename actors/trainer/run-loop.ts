/** The loop of a run over its steps, with what lies around them: resuming, validations, checkpoints and logs. */
import { addAbortListener } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { shrinkHeap } from '../../src/collector.ts';
import { asCxmindError } from '../../src/errors.ts';
import type { Metrics } from '../../src/metrics.ts';
import { hasAdvanced, observe, type AdvanceRule } from '../../src/training/advance.ts';
import { Checkpoints, type ResumePoint, type RunState } from '../run-folder/checkpoints.ts';
import { lockstep, type BatchSource } from './ahead/batch-source.ts';
import type { StepContext } from './context.ts';
import { reportData } from './report/reporter.ts';
import { isDue, versionAfter } from './schedule.ts';
import { newRun, resume, type Resumed } from './resume.ts';
import { RolloutsAhead } from './ahead/rollouts-ahead.ts';
import { profiled } from './report/profile.ts';
import { RunFiles, type RunSummary } from '../run-folder/files.ts';
import type { RequestBox } from '../run-folder/requests.ts';
import { Saving } from './saving.ts';
import { Steering } from './steering.ts';
import { trainingStep, type StepResult } from './step.ts';
import { GradientWatch, IdleWatch } from './report/step-watch.ts';
import { meanAccuracy } from './report/step-metrics.ts';
import { Stopwatch } from './report/timeline.ts';
import { RunLog, showsTable, stepLine, withTimeAround } from './report/tracking.ts';
import { Validations } from './validation.ts';

/** Options that the loop takes from whoever starts a run. */
export interface LoopOptions {
  /** Aborts when an actor is lost that has a part of the state to be saved. */
  readonly lost: AbortSignal;
  /** Target of an event `save`, which asks for a checkpoint at once while training goes on. */
  readonly saveRequests?: EventTarget;
  /** Shows text that the run's log must not have, such as prompts and answers. */
  readonly write: (text: string) => void;
  /** Aborts the preemption of the context. */
  readonly stop: () => void;
  /** Ends the run before its steps are taken. */
  readonly advance: AdvanceRule | null;
  /** Requests to the run, from its beginning on. */
  readonly requests: RequestBox;
  /** The beginning of the run, as `performance.now()` gives it. */
  readonly started: number;
}

/**
 * Takes a run from its folder to its summary: resume, validate, take steps, validate, save.
 *
 * @throws whatever ends the run, with the last whole step saved
 */
export async function runLoop(context: StepContext, options: LoopOptions): Promise<RunSummary> {
  const { actors, plan, reporter } = context;
  const { trainer, folder } = plan;
  const files = await RunFiles.open(folder);
  const data = await actors.task.data.ask.summary(undefined, { timeoutMs: 60_000 });
  reportData(data, reporter);
  const checkpoints = new Checkpoints(folder, {
    limit: trainer.saveLimit,
    modelOnly: trainer.saveModelOnly,
  });
  const resumed = await resume(context, checkpoints, files);
  // A run that only validates leaves what the run itself wrote in its folder.
  if (!trainer.valOnly || !existsSync(join(folder, 'config.json'))) await files.config(plan.config);
  const point = resumed ?? newRun(context);
  const { step, unfinished } = point;
  const steps = trainer.valOnly ? step : plan.stepsOver(data.trainPrompts);
  context.live.begins(step, steps, resumed && { step, path: resumed.checkpoint });
  const isDone = unfinished === null && isAtEnd(point, steps, options.advance);
  if (resumed !== null && !trainer.valOnly && isDone) {
    const summary = await files.earlierSummary();
    if (summary !== null && summary.preempted !== true && summary.steps === step) {
      reporter.note(
        `${folder}: this run is done, ${step} of ${steps} steps, and stays as it is; ` +
          'for more steps raise trainer.max_steps or total_epochs',
      );
      // The folder may have moved since.
      return { ...summary, checkpoint: resumed.checkpoint };
    }
  }
  context.weights.publish(versionAfter(plan.step, step));
  actors.critics?.begin();
  // The line of an unfinished step may be there already, from an earlier attempt to finish it.
  const logged = unfinished === null ? step : step - 1;
  if (!trainer.valOnly) {
    await (resumed === null ? files.keepUntil(-1, -1) : files.keepUntil(step, logged));
  }
  const resumedAfter = resumed === null ? null : logged;
  const display = { write: options.write, note: (text: string) => reporter.note(text) };
  await using log = new RunLog(plan, files, display, { resumedAfter });
  if (!trainer.valOnly)
    await log.keepSamplesUntil(resumed === null ? -1 : step, resumedAfter ?? -1);
  const validations = new Validations(context, data.validationPrompts, log);
  await using batches = batchesFrom(context, steps, point, resumed);
  const newest = { step, checkpoint: resumed?.checkpoint ?? null };
  const score = (): number => validations.score();
  const saving = new Saving(context, checkpoints, { newest, batches, score });
  const steered = { saving, validations, stop: options.stop };
  const steering = new Steering(options.requests, steered);
  const parts = { steps, log, validations, saving, batches, steering };
  const run = new Run(context, options, parts, point);
  return await run.toEnd(resumed === null);
}

/** The batches of a run's steps, in turns with its updates or ahead of them. */
function batchesFrom(
  context: StepContext,
  steps: number,
  point: ResumePoint,
  resumed: Resumed | null,
): BatchSource {
  const kept = resumed?.kept ?? [];
  if (context.plan.step.maxStaleness > 0) return new RolloutsAhead(context, { steps, point, kept });
  const groups = kept.flatMap(({ calls }) => calls).flatMap((call) => call.groups).length;
  if (groups > 0) {
    context.reporter.note(
      `${groups} groups of responses that were sampled ahead are dropped, as trainer.max_staleness is 0`,
    );
  }
  return lockstep;
}

/** The parts of a run that its loop works with. */
interface RunParts {
  /** Steps of the whole run. */
  readonly steps: number;
  readonly log: RunLog;
  readonly validations: Validations;
  readonly saving: Saving;
  readonly batches: BatchSource;
  readonly steering: Steering;
}

/** The loop over the steps of a run. */
class Run {
  readonly #context: StepContext;
  readonly #options: LoopOptions;
  readonly #parts: RunParts;
  readonly #idle = new IdleWatch();
  readonly #gradients: GradientWatch;
  /** The place of the run, as a checkpoint would keep it now. */
  #point: ResumePoint;
  /** False while a step updates the weights: a checkpoint of them would be of no step. */
  #isWhole = true;
  #accuracyBefore: number | null = null;

  constructor(context: StepContext, options: LoopOptions, parts: RunParts, point: ResumePoint) {
    this.#context = context;
    this.#options = options;
    this.#parts = parts;
    this.#point = point;
    this.#gradients = new GradientWatch(context);
  }

  /** Validates, takes the steps that are left, and writes the summary. @param isNew whether no step was taken yet */
  async toEnd(isNew: boolean): Promise<RunSummary> {
    const { valBeforeTrain, valOnly } = this.#context.plan.trainer;
    const { saving, steering } = this.#parts;
    // What the start left behind would be part of the run's peak.
    shrinkHeap();
    if (valBeforeTrain || valOnly || this.#point.unfinished !== null) {
      await this.#validateBefore(isNew);
    }
    const onSave = (): void => saving.request(this.#isWhole ? this.#point : null);
    this.#options.saveRequests?.addEventListener('save', onSave);
    let failure: unknown = null;
    try {
      await this.#train();
      return await this.#conclude();
    } catch (error) {
      failure = error;
      await this.#rescue(error);
      throw error;
    } finally {
      this.#options.saveRequests?.removeEventListener('save', onSave);
      await saving.settled();
      await steering.close(this.#point, failure);
    }
  }

  /** Validates before the first step of this process. For a step that was cut off, that is its own validation. */
  async #validateBefore(isNewRun: boolean): Promise<void> {
    const { log, validations, saving } = this.#parts;
    const { step, state, unfinished } = this.#point;
    const isNew = isNewRun || unfinished !== null;
    const before = await validations.take(step, state.validationGate, isNew);
    if (before === null) return;
    this.#accuracyBefore = before.accuracy;
    // The gate of a resumed run has seen this validation already, like that of a run that never stopped.
    if (isNew) this.#update({ validationGate: before.gate });
    if (isNewRun) this.#point = { ...this.#point, accuracyBefore: before.accuracy };
    if (unfinished === null) {
      const isFirst = isNewRun && !this.#context.plan.trainer.valOnly;
      if (isFirst) await log.step(step, before.metrics);
      else log.show(step, before.metrics);
      return;
    }
    const metrics = { ...unfinished, ...before.metrics };
    this.#update({ advance: observe(state.advance, metrics, this.#options.advance) });
    this.#point = { ...this.#point, unfinished: null };
    await log.step(step, metrics);
    await saving.rescore(step);
  }

  /** Takes steps until the last one, or until the run is preempted. */
  async #train(): Promise<void> {
    const { plan, reporter, live } = this.#context;
    const { steps, log, steering } = this.#parts;
    const { profile } = plan.trainer;
    if (profile !== null && profile > steps) {
      reporter.note(`trainer.profile: there is no step ${profile}, the run has ${steps}`);
    }
    const [began, from] = [performance.now(), this.#point.step];
    while (!this.#isAtEnd()) {
      await steering.take(this.#point);
      if (this.#context.preemption.aborted) return;
      const stepBegan = performance.now();
      const place = { step: this.#point.step + 1, folder: plan.folder };
      const result = await profiled(this.#context, place, () => this.#step());
      if (result === null) return;
      const { step } = this.#point;
      const trained = result.isPolicyTrained ? result.scored : [];
      await log.files.trained(
        step,
        trained.map(({ group }) => group.prompt.promptId),
      );
      await log.rollouts?.write(step, result.scored);
      const secondsPerStep = (performance.now() - began) / 1000 / (step - from);
      const secondsLeft = secondsPerStep * (steps - step);
      live.takes({ step, steps, secondsPerStep, secondsLeft });
      this.#report(result, secondsLeft);
      this.#gradients.observe(result.metrics, step);
      const isFinished = await this.#finishStep(result.metrics);
      if (!isFinished) return;
      await log.files.spans(live.spansOf(step, stepBegan));
    }
  }

  /** Takes a training step; null when the run was preempted before the step changed anything. */
  async #step(): Promise<StepResult | null> {
    const { signal, preemption, timeline } = this.#context;
    const { steps, saving, batches } = this.#parts;
    const step = this.#point.step + 1;
    const undo = new AbortController();
    using undoing = addAbortListener(preemption, () => undo.abort(preemption.reason));
    timeline.step = step;
    try {
      const context = {
        ...this.#context,
        signal: AbortSignal.any([signal, undo.signal]),
        beginUpdate: async () => {
          await saving.settled();
          undo.signal.throwIfAborted();
          undoing[Symbol.dispose]();
          this.#isWhole = false;
        },
      };
      const result = await trainingStep(context, batches, this.#point.state, { step, steps });
      const { state, metrics } = result;
      this.#point = { ...this.#point, step, state, unfinished: metrics };
      this.#isWhole = true;
      return result;
    } catch (error) {
      if (undo.signal.aborted && !signal.aborted) return null;
      throw error;
    }
  }

  /** Validates, saves and logs a step that was taken. @returns false when a preemption cut its validation off */
  async #finishStep(taken: Metrics): Promise<boolean> {
    const { trainer } = this.#context.plan;
    const { steps, log, validations, saving } = this.#parts;
    const { step } = this.#point;
    const clock = new Stopwatch(this.#context.timeline);
    let metrics = taken;
    const validate = async (): Promise<void> => {
      const gate = this.#point.state.validationGate;
      const validation = await clock.time('validation', () => validations.take(step, gate, true));
      if (validation === null) return;
      metrics = { ...metrics, ...validation.metrics };
      this.#update({ validationGate: validation.gate });
    };
    if (step === steps || isDue(trainer.valFreq, step)) {
      await validate();
      if (validations.wasCutOff(step)) return false;
    }
    const rule = this.#options.advance;
    const advance = observe(this.#point.state.advance, metrics, rule);
    const isLast = step === steps || hasAdvanced(advance, step, rule);
    if (isLast && !validations.isOf(step)) await validate();
    this.#update({ advance });
    const write = async (around: { readonly save_checkpoint?: number }): Promise<void> => {
      await log.step(step, withTimeAround(metrics, { ...clock.seconds, ...around }));
      this.#point = { ...this.#point, unfinished: null };
    };
    if (isLast || isDue(trainer.saveFreq, step) || saving.isRequested) {
      const point = { ...this.#point, unfinished: null };
      // The line is written before the checkpoint has its name: a resumed run can remove a line, but not add one.
      await saving.save(point, (seconds) => write({ save_checkpoint: seconds }));
    } else {
      await write({});
    }
    return true;
  }

  /** Saves a run that was preempted, or validates one that is done; then writes the summary. */
  async #conclude(): Promise<RunSummary> {
    const { reporter, plan } = this.#context;
    const { steps, log, validations, saving } = this.#parts;
    const { step, state, unfinished, accuracyBefore } = this.#point;
    const isDone = unfinished === null && this.#isAtEnd();
    const isPreempted = this.#context.preemption.aborted && !isDone;
    if (isPreempted) {
      if (saving.newest.step < step) await saving.save(this.#point);
      const where = step === 0 ? 'before its first step' : `after step ${step} of ${steps}`;
      const saved = step === 0 ? '' : `, saved in ${plan.folder}`;
      reporter.note(`stopped ${where}${saved}; the same command goes on from there`);
    } else if (!validations.isOf(step)) {
      const validation = await validations.take(step, state.validationGate, true);
      if (validation !== null) log.show(step, validation.metrics);
    }
    const summary: RunSummary = {
      val_accuracy_before: accuracyBefore ?? this.#accuracyBefore,
      val_accuracy_after: validations.accuracy,
      steps: step,
      seconds: (performance.now() - this.#options.started) / 1000,
      checkpoint: saving.newest.checkpoint,
      ...(isPreempted && { preempted: true }),
    };
    const isKept = plan.trainer.valOnly && (await log.files.earlierSummary()) !== null;
    if (!isKept) await log.files.summary(summary);
    log.finish();
    return summary;
  }

  /** Saves the last whole step of a run that fails, as far as possible, and says where the run stands. */
  async #rescue(failure: unknown): Promise<void> {
    const { step } = this.#point;
    const { reporter, plan } = this.#context;
    const { steps, saving } = this.#parts;
    const hasLearned = this.#gradients.lastFinite > saving.newest.step;
    try {
      if (this.#isWhole && hasLearned && !this.#options.lost.aborted) {
        await saving.save(this.#point);
      }
    } catch (error) {
      const { message } = asCxmindError(error);
      if (message !== asCxmindError(failure).message) reporter.note(`not saved: ${message}`);
    }
    if (plan.trainer.valOnly) return;
    const { step: saved, checkpoint } = saving.newest;
    const where = step === 0 ? 'in the first step' : `after step ${step} of ${steps}`;
    reporter.note(
      checkpoint === null
        ? `stopped ${where}; there is no checkpoint in ${plan.folder} yet, the same command starts anew`
        : `stopped ${where}; step ${saved} is saved in ${plan.folder}, the same command goes on from there`,
    );
  }

  #isAtEnd(): boolean {
    return isAtEnd(this.#point, this.#parts.steps, this.#options.advance);
  }

  #update(changed: Partial<RunState>): void {
    this.#point = { ...this.#point, state: { ...this.#point.state, ...changed } };
  }

  #report(result: StepResult, secondsLeft: number): void {
    const { reporter, plan } = this.#context;
    const { metrics } = result;
    const accuracy = meanAccuracy(result.scored);
    const { step } = this.#point;
    this.#context.logger.info({ step, ...metrics }, 'step');
    const warning = this.#idle.observe(metrics, accuracy);
    if (warning !== null) reporter.note(warning);
    if (!showsTable(plan.trainer)) return;
    reporter.step(stepLine(metrics, { step, steps: this.#parts.steps, accuracy, secondsLeft }));
  }
}

/** True after the last step, and where a stage of a curriculum may end. */
function isAtEnd(
  { step, state }: ResumePoint,
  steps: number,
  advance: AdvanceRule | null,
): boolean {
  return step >= steps || hasAdvanced(state.advance, step, advance);
}
