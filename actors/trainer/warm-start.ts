/** A run of supervised fine-tuning, from its config to its summary: the warm start of reinforcement learning. */
import { addAbortListener } from 'node:events';
import type { Config } from '../../src/config/schema.ts';
import { shrinkHeap } from '../../src/collector.ts';
import { openMemoryGauge } from '../../src/device/memory.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Metrics } from '../../src/metrics.ts';
import { responseTokensOf } from '../../src/training/mini-batches.ts';
import type { SupervisedStep } from '../../src/training/supervised-update.ts';
import type { DataSummary } from '../data/protocol.ts';
import type { AskOptions } from '../runtime/ref.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { LiveRun } from './report/live-run.ts';
import { type Pace, reportData, warnOfData } from './report/reporter.ts';
import { isDue, supervisedRate } from './schedule.ts';
import type { Learners } from './learners.ts';
import { loadPolicy } from './models.ts';
import { ANY_WORK_MS } from './patience.ts';
import { onThisMachine } from './this-machine.ts';
import { placeLearners, type Station } from './placement.ts';
import { planSupervised, type SupervisedPlan } from './plan.ts';
import type { Task } from './prompt-feed.ts';
import { growingFiles, RunFiles, setAside, warmStartModel } from '../run-folder/files.ts';
import { RunLock } from '../run-folder/lock.ts';
import { StatusFile } from '../run-folder/status.ts';
import { Timeline } from './report/timeline.ts';
import { anyInterruption, openSystem, type TrainingOptions } from './run.ts';
import { spawnData, spawnLearners, toolsFor } from './spawn.ts';
import { RunLog, showsTable } from './report/tracking.ts';

/** The result of supervised training. */
export interface SupervisedSummary {
  readonly steps: number;
  /** Mean loss of the last step, nats per token. */
  readonly loss: number;
  /** Loss of held-out answers before the first step and the last time it was measured; null where it was not. */
  readonly validationLoss: { readonly before: number; readonly after: number } | null;
  /** Hugging Face directory. */
  readonly checkpoint: string;
}

/**
 * Supervised fine-tuning on the reference answers (`sft` of the config): a warm start for reinforcement learning.
 *
 * The folder gets the model, `metrics.jsonl`, a line for each step, and `status.json` while it goes on. When preempted,
 * it gets the model as it is then. The loss of held-out answers is measured before the first step, every `val_freq` steps
 * and after the last.
 */
export async function trainSupervised(
  given: Config,
  options: TrainingOptions,
): Promise<SupervisedSummary> {
  const plan = planSupervised(await onThisMachine(given, options.reporter));
  await using _ = await RunLock.take(plan.folder);
  await using system = openSystem(given, options);
  const stations = placeLearners(plan.placement, [{ node: null, slots: 1 }]);
  const devices = new Map(stations.map(({ device }, i) => [`learner/${i}`, device]));
  await using owned = new AsyncDisposableStack();
  const liveOptions = {
    ...{ system, timeline: new Timeline(), device: plan.trainer.device, devices },
    gauge: openMemoryGauge([...devices.values()]),
    samples: { rollout: null, validation: null },
  };
  const live = owned.use(new LiveRun(liveOptions));
  owned.use(await StatusFile.begin(plan.folder, () => live.status()));
  owned.use(addAbortListener(anyInterruption(options), () => live.stops()));
  try {
    const write = (text: string): void => options.reporter.note(text);
    const reporter = live.listening(options.reporter, options.logger);
    const parts = { ...options, reporter, write, stations };
    const summary = await supervise(system, plan, live, parts);
    const { step, steps } = live.status();
    live.ends(step === steps ? 'done' : 'stopped');
    return summary;
  } catch (error) {
    live.endsBy(error, anyInterruption(options));
    throw error;
  }
}

/** Spawns the actors, trains, and saves the model. */
async function supervise(
  system: ActorSystem,
  plan: SupervisedPlan,
  live: LiveRun,
  options: TrainingOptions & {
    readonly write: (text: string) => void;
    readonly stations: readonly Station[];
  },
): Promise<SupervisedSummary> {
  const { reporter, logger, signal: interrupted, write, stations } = options;
  const { folder, sft } = plan;
  const policy = await loadPolicy(system, plan.policy.model);
  for (const note of policy.notes) reporter.note(note);
  await using weights = new PolicyWeights(system, policy, logger);
  const signal = AbortSignal.any([interrupted, system.signal]);
  const ask = { timeoutMs: ANY_WORK_MS, signal };
  const tools = await toolsFor(system, plan, logger);
  const data = await spawnData(system, plan.task, { model: policy.config, tools });
  const learners = await spawnLearners(system, plan.policy, policy, weights, stations, []);
  const summary = await data.ask.summary(undefined, ask);
  reportData(summary, reporter);
  const files = await RunFiles.open(folder);
  const aside = await setAside(folder, growingFiles);
  if (aside !== null) reporter.note(`the metrics of the run before are kept in ${aside}`);
  const experiment = `${plan.trainer.experimentName}-sft`;
  const display = { write, note: (text: string) => reporter.note(text) };
  await using log = new RunLog(plan, files, display, { experiment, resumedAfter: null });
  const steps = sft.maxSteps ?? sft.epochs * Math.floor(summary.trainPrompts / sft.batchSize);
  live.begins(0, steps);
  const run = { ...options, live, plan, data, learners, log, summary, steps, ask };
  const result = await new SupervisedTraining(run).toEnd();
  await learners.save({ directory: folder, modelOnly: true }, ask);
  log.finish();
  return { ...result, checkpoint: warmStartModel(folder) };
}

/** The parts of supervised training that its loop works with. */
interface SupervisedRun extends Pick<TrainingOptions, 'reporter' | 'logger' | 'preemption'> {
  readonly plan: SupervisedPlan;
  readonly live: LiveRun;
  readonly data: Task['data'];
  readonly learners: Learners;
  readonly log: RunLog;
  readonly summary: DataSummary;
  /** Steps of the whole training. */
  readonly steps: number;
  readonly ask: AskOptions;
}

/** The loop over the steps of supervised training. */
class SupervisedTraining {
  readonly #run: SupervisedRun;
  /** Held-out losses so far, nats per token. */
  readonly #heldOut: number[] = [];

  constructor(run: SupervisedRun) {
    this.#run = run;
  }

  /** Takes steps until the last one, or until the training is preempted. */
  async toEnd(): Promise<Omit<SupervisedSummary, 'checkpoint'>> {
    const { steps, log, preemption, reporter } = this.#run;
    const { sft, folder } = this.#run.plan;
    // As in a run of reinforcement learning.
    shrinkHeap();
    const before = await this.#validate(0);
    if (this.#heldOut.length > 0) await log.step(0, before);
    const began = performance.now();
    let done = 0;
    let loss = NaN;
    while (done < steps && preemption?.aborted !== true) {
      const metrics = await this.#step(done + 1, began);
      done++;
      loss = metrics['sft/loss']!;
      if (!Number.isFinite(loss)) {
        await log.step(done, metrics);
        throw new CxmindError(
          'NUMERIC_NONFINITE',
          `sft: the loss is not finite at step ${done}; lower sft.lr`,
        );
      }
      const isValidated = done === steps || isDue(sft.valFreq, done);
      await log.step(done, { ...metrics, ...(isValidated && (await this.#validate(done))) });
    }
    if (done < steps) {
      // A training that was preempted before its first step has nothing to save: the model has not changed.
      if (done === 0) preemption?.throwIfAborted();
      reporter.note(`stopped after step ${done} of ${steps}; ${folder} has the model so far`);
    }
    const [first, last] = [this.#heldOut[0], this.#heldOut.at(-1)];
    const isCompared = this.#heldOut.length >= 2;
    return {
      steps: done,
      loss,
      validationLoss: isCompared ? { before: first!, after: last! } : null,
    };
  }

  /** Takes a step and shows it. @param began the first step of this training */
  async #step(step: number, began: number): Promise<Metrics> {
    const { plan, live, data, learners, steps, ask, reporter } = this.#run;
    const started = performance.now();
    const { samples, notes } = await data.ask.nextSolutions(undefined, ask);
    warnOfData(notes, reporter);
    const learningRate = supervisedRate(plan.sft, { step, steps });
    const result = await learners.updateSupervised(samples, learningRate, ask);
    const now = performance.now();
    const seconds = (now - started) / 1000;
    const secondsPerStep = (now - began) / 1000 / step;
    const secondsLeft = secondsPerStep * (steps - step);
    live.takes({ step, steps, secondsPerStep, secondsLeft });
    this.#report(result, learningRate, { step, steps, seconds, secondsLeft });
    return {
      'sft/loss': result.loss,
      'sft/grad_norm': result.gradientNorm,
      'sft/tokens': result.tokens,
      'sft/lr': learningRate,
    };
  }

  #report(result: SupervisedStep, learningRate: number, pace: Pace): void {
    const { loss, gradientNorm, tokens } = result;
    const { plan, logger, reporter } = this.#run;
    logger.info({ step: pace.step, loss, gradientNorm, tokens, learningRate }, 'sft');
    if (!showsTable(plan.trainer)) return;
    const tokensPerSecond = tokens / pace.seconds;
    reporter.supervisedStep({
      ...pace,
      loss,
      gradNorm: gradientNorm,
      learningRate,
      tokensPerSecond,
    });
  }

  /** Measures the loss of held-out answers and shows it. @returns no metrics where there are none, or no time */
  async #validate(step: number): Promise<Metrics> {
    const loss = await this.#heldOutLoss();
    if (loss === null) return {};
    this.#heldOut.push(loss);
    const { logger, reporter } = this.#run;
    logger.info({ step, loss }, 'validation');
    reporter.note(`validation at step ${step}: loss ${loss.toFixed(4)}`);
    return { 'val/loss': loss };
  }

  /**
   * The mean loss of the reference answers of the validation set, nats per token; null without any, or if preempted.
   */
  async #heldOutLoss(): Promise<number | null> {
    const { plan, data, learners, summary, ask, reporter, preemption } = this.#run;
    const { batchSize } = plan.sft;
    const total = summary.validationPrompts;
    let [done, loss, tokens] = [0, 0, 0];
    using _ = reporter.phase({ name: 'validation', total, done: () => done });
    for (; done < total; done += batchSize) {
      if (preemption?.aborted === true) return null;
      const range = { start: done, end: Math.min(total, done + batchSize) };
      const { samples } = await data.ask.validationSolutions(range, ask);
      const count = responseTokensOf(samples);
      if (count === 0) continue;
      loss += count * (await learners.supervisedLoss(samples, ask));
      tokens += count;
    }
    return tokens === 0 ? null : loss / tokens;
  }
}
