import { join } from 'node:path';
import { trainingSteps } from '../../src/config/derive.ts';
import { Config } from '../../src/config/schema.ts';
import { asCxmindError, CxmindError, toWireError } from '../../src/errors.ts';
import { withLocalModels } from '../../src/hub/model.ts';
import { lrFactor, warmupSteps } from '../../src/optim/schedule.ts';
import { initialGateState } from '../../src/reward/gate.ts';
import { resolveReward } from '../../src/reward/registry.ts';
import {
  hasAdvanced,
  initialAdvanceState,
  observe,
  type AdvanceRule,
} from '../../src/training/advance.ts';
import type { Logger } from '../runtime/actor.ts';
import { ActorSystem, type NodeOptions } from '../runtime/system.ts';
import { WeightSync } from '../weights/sync.ts';
import {
  freezeReference,
  loadPolicy,
  rewardKwargsOf,
  rewardSpecOf,
  spawnData,
  spawnLearners,
  spawnReference,
  spawnRewards,
  spawnRollouts,
  type Cast,
} from './cast.ts';
import { Checkpoints, restore } from './checkpoints.ts';
import { placeRun, type Host } from './placement.ts';
import type { Reporter } from './reporter.ts';
import { RunFiles, type RunSummary } from './run-files.ts';
import { trainingStep, type RunState, type StepContext, type StepResult } from './step.ts';
import { validate, type Validation } from './validation.ts';

/** Steps in a row without one finite gradient, after which a run gives up. */
const MAX_NONFINITE_STEPS = 3;

/** What any training needs besides its config. */
export interface TrainingOptions {
  readonly reporter: Reporter;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What a run of reinforcement learning needs besides its config. */
export interface RunOptions extends TrainingOptions {
  /**
   * Processes, on this host or others, that take part from the beginning; the run ends their links. How many slots
   * each has says how large its part of the work is, against the others; 1 where nothing is said.
   */
  readonly nodes?: readonly NodeOptions[];
  /** Actors that this process should have to compute at a time, against the nodes: 1 unless said, and 0 for none. */
  readonly slots?: number;
  /** Calls `take` for every process that comes later, as one that is started in place of another that was lost. */
  readonly onJoin?: (take: (node: NodeOptions) => void) => void;
}

/**
 * Trains a policy by reinforcement learning: validation before, steps with validations and checkpoints
 * between, validation and checkpoint after.
 *
 * @throws whatever ends a run: bad data, a lost learner, NUMERIC_NONFINITE, RUNTIME_CANCELLED
 */
export async function trainPolicy(config: Config, options: RunOptions): Promise<RunSummary> {
  await using system = new ActorSystem({ logger: options.logger });
  return await trainOn(system, await joinNodes(system, options), config, options);
}

/** What a run that is one of several needs to know besides. */
export interface PartOptions extends TrainingOptions {
  /** Ends the run before its steps are taken. */
  readonly advance?: AdvanceRule | null;
}

/** One run on a system that may have others before and after it; it stops the actors it started. */
export async function trainOn(
  system: ActorSystem,
  hosts: readonly Host[],
  given: Config,
  options: PartOptions,
): Promise<RunSummary> {
  const started = performance.now();
  const config = await withLocalModels(given);
  const { logger, reporter, advance = null } = options;
  await using _ = { [Symbol.asyncDispose]: () => system.stopActors() };
  const signal = AbortSignal.any([options.signal, system.signal]);
  const places = placeRun(config, hosts);
  const checkpoint = await loadPolicy(system, config);
  const reward = await resolveReward(rewardSpecOf(config), rewardKwargsOf(config));
  await using weights = new WeightSync(system, 'policy', checkpoint.arena, logger);
  const data = await spawnData(system, config, checkpoint, {
    trainFiles: config.trainer.valOnly ? null : config.data.trainFiles,
    validationFiles: config.data.valFiles === '' ? null : config.data.valFiles,
    batchSize: config.data.miniRolloutBatchSize ?? config.data.rolloutBatchSize,
  });
  // The reference copies the weights before anything restores or trains them.
  await using frozen = freezeReference(system, config, checkpoint, logger);
  const reference =
    frozen && (await spawnReference(system, config, checkpoint, frozen, places.reference));
  const cast: Cast = {
    data,
    reference,
    learners: await spawnLearners(system, config, checkpoint, weights, places.learners),
    rollouts: await spawnRollouts(system, config, checkpoint, weights, places.rollouts),
    rewards: await spawnRewards(system, config, places.rewards),
  };
  const context = { cast, weights, config, gate: reward.gate, reporter, signal };
  const run = new Run(context, { logger, started, advance });
  try {
    return await run.finish(await run.open());
  } catch (error) {
    // A lost actor cancels what the others do: the loss is what ended the run.
    system.signal.throwIfAborted();
    throw error;
  }
}

/** Takes in the nodes that are here, and those that come; returns all hosts, this one first. */
export async function joinNodes(
  system: ActorSystem,
  { nodes = [], slots = 1, onJoin, logger }: RunOptions,
): Promise<Host[]> {
  await Promise.all(nodes.map((node) => system.addNode(node)));
  onJoin?.((node) => {
    system.addNode(node).catch((thrown: unknown) => {
      const error = toWireError(asCxmindError(thrown));
      logger.warn({ node: node.name, error }, 'node not taken in');
    });
  });
  const others = nodes.map(({ name, resources }) => ({ node: name, slots: resources?.slots ?? 1 }));
  return [{ node: null, slots }, ...others];
}

/** One run: its files, its checkpoints and the loop. */
class Run {
  readonly #context: StepContext;
  readonly #logger: Logger;
  readonly #started: number;
  readonly #checkpoints: Checkpoints;
  readonly #advance: AdvanceRule | null;
  #validationPrompts = 0;
  #before: Validation | null = null;
  #last: { step: number; validation: Validation } | null = null;

  constructor(
    context: StepContext,
    options: { logger: Logger; started: number; advance: AdvanceRule | null },
  ) {
    const { trainer } = context.config;
    this.#context = context;
    this.#logger = options.logger;
    this.#started = options.started;
    this.#advance = options.advance;
    this.#checkpoints = new Checkpoints(folderOf(context.config), {
      limit: trainer.saveLimit,
      modelOnly: trainer.saveModelOnly,
    });
  }

  /** Opens files, restores, validates. */
  async open(): Promise<{
    files: RunFiles;
    step: number;
    steps: number;
    state: RunState;
    /** Hugging Face directory of the checkpoint that it goes on from. */
    checkpoint: string | null;
  }> {
    const { cast, config, reporter } = this.#context;
    const files = await RunFiles.open(folderOf(config), Config.encode(config));
    const summary = await cast.data.ask.summary(undefined, { timeoutMs: 60_000 });
    this.#validationPrompts = summary.validationPrompts;
    reporter.note(
      `${summary.trainPrompts} training prompts, ${summary.validationPrompts} for validation` +
        (summary.overlong > 0 ? `, ${summary.overlong} too long and left out` : '') +
        (summary.skipped > 0 ? `, ${summary.skipped} invalid and skipped` : ''),
    );
    let step = 0;
    let state = initialState(config);
    const folder = await this.#resumeFolder();
    if (folder !== null) {
      ({ step, state } = await restore(folder, cast.learners));
      await cast.data.ask.seek(state.cursor, { timeoutMs: 60_000 });
      reporter.note(`resumed from ${folder}`);
    }
    this.#context.weights.publish(step + 1);
    if (!config.trainer.valOnly) await files.keepUntil(folder === null ? -1 : step);
    const steps = config.trainer.valOnly ? step : trainingSteps(config, summary.trainPrompts);
    if (config.trainer.valBeforeTrain || config.trainer.valOnly) {
      this.#before = await this.#validate(files, step, state);
      // A resumed run's gate has seen this validation already, as a run that never stopped.
      if (this.#before !== null && folder === null) {
        state = { ...state, validationGate: this.#before.gate };
      }
    }
    const checkpoint = folder === null ? null : join(folder, 'actor', 'huggingface');
    return { files, step, steps, state, checkpoint };
  }

  /** Trains to the end and writes the summary. */
  async finish(opened: {
    files: RunFiles;
    step: number;
    steps: number;
    state: RunState;
    checkpoint: string | null;
  }): Promise<RunSummary> {
    const { config } = this.#context;
    const { files, steps } = opened;
    let { step, state } = opened;
    let { checkpoint } = opened;
    let nonFinite = 0;
    while (step < steps && !this.#hasAdvanced(step, state)) {
      step++;
      const result = await trainingStep(
        this.#context,
        state,
        step,
        learningRate(config, step, steps),
      );
      ({ state } = result);
      nonFinite = this.#countNonFinite(result, step, nonFinite);
      let { metrics } = result;
      const validate = async (): Promise<void> => {
        const validation = await this.#validate(files, step, state);
        if (validation === null) return;
        metrics = { ...metrics, ...validation.metrics };
        state = { ...state, validationGate: validation.gate };
      };
      if (step === steps || isDue(config.trainer.valFreq, step)) await validate();
      if (this.#advance !== null) {
        state = { ...state, advance: observe(state.advance, metrics, this.#advance) };
      }
      const isLast = step === steps || this.#hasAdvanced(step, state);
      if (isLast && this.#last?.step !== step) await validate();
      // Before the checkpoint: a resumed run removes the lines that are ahead of it, but cannot add one.
      await files.metrics(step, metrics);
      if (isLast || isDue(config.trainer.saveFreq, step)) {
        checkpoint = await this.#save(step, state);
      }
      this.#report(step, steps, result);
    }
    if (this.#last?.step !== step) await this.#validate(files, step, state);
    const summary: RunSummary = {
      val_accuracy_before: this.#before?.accuracy ?? null,
      val_accuracy_after: this.#last?.validation.accuracy ?? null,
      steps: step,
      seconds: (performance.now() - this.#started) / 1000,
      checkpoint,
    };
    await files.summary(summary);
    return summary;
  }

  #hasAdvanced(step: number, { advance }: RunState): boolean {
    return this.#advance !== null && hasAdvanced(advance, step, this.#advance);
  }

  async #resumeFolder(): Promise<string | null> {
    const { loadCheckpointPath, findLastCheckpoint, valOnly } = this.#context.config.trainer;
    if (loadCheckpointPath !== null) return loadCheckpointPath;
    return findLastCheckpoint && !valOnly ? this.#checkpoints.newest() : null;
  }

  async #validate(files: RunFiles, step: number, state: RunState): Promise<Validation | null> {
    if (this.#validationPrompts === 0) return null;
    const validation = await validate(this.#context, this.#validationPrompts, state.validationGate);
    this.#last = { step, validation };
    const shown = this.#context.config.trainer.valGenerationsToLog;
    await files.generations(step, validation.scored.slice(0, shown));
    this.#logger.info({ step, ...validation.metrics }, 'validation');
    this.#context.reporter.note(
      `validation at step ${step}: accuracy ${validation.accuracy.toFixed(3)}`,
    );
    return validation;
  }

  async #save(step: number, state: RunState): Promise<string> {
    const score = this.#last?.validation.metrics['val/reward_score'] ?? 0;
    const path = await this.#checkpoints.save(this.#context.cast.learners, step, state, score);
    this.#logger.info({ step, path }, 'checkpoint');
    return path;
  }

  #countNonFinite({ metrics }: StepResult, step: number, before: number): number {
    if (Number.isFinite(metrics['actor/grad_norm'])) return 0;
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

function folderOf({ trainer }: Config): string {
  return (
    trainer.saveCheckpointPath ?? `checkpoints/${trainer.projectName}/${trainer.experimentName}`
  );
}

function initialState({ algorithm }: Config): RunState {
  const { klType, klCoef: coef, klTarget: target, klHorizon: horizon } = algorithm;
  return {
    cursor: { epoch: 0, position: 0 },
    advance: initialAdvanceState,
    gate: initialGateState,
    validationGate: initialGateState,
    klController:
      klType === 'adaptive' ? { kind: 'adaptive', coef, target, horizon } : { kind: 'fixed', coef },
  };
}

function isDue(frequency: number, step: number): boolean {
  return frequency > 0 && step % frequency === 0;
}

/** The rate of a step, from 1; the schedule counts from 0. */
function learningRate({ worker }: Config, step: number, steps: number): number {
  const { lr, lrSchedulerType, minLrRatio, lrWarmupSteps, lrWarmupRatio } = worker.actor.optim;
  const warmup = warmupSteps(steps, { lrWarmupSteps, lrWarmupRatio });
  return (
    lr * lrFactor(lrSchedulerType, step - 1, { warmup, total: steps, minRatio: minLrRatio ?? 0 })
  );
}
