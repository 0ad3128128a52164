/**
 * A run of reinforcement learning from its config to its summary, and the evaluation of a policy without training.
 */
import { addAbortListener } from 'node:events';
import type { Config } from '../../src/config/schema.ts';
import { statusIn } from '../../src/dashboard/readers/status.ts';
import { openMemoryGauge } from '../../src/device/memory.ts';
import { productOf } from '../../src/device/product.ts';
import { asCxmindError, CxmindError, toWireError } from '../../src/errors.ts';
import { initialGateState } from '../../src/reward/gate.ts';
import type { AdvanceRule } from '../../src/training/advance.ts';
import type { Logger } from '../runtime/actor.ts';
import type { NodeOptions } from '../runtime/placement.ts';
import { ActorSystem } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { weightsInPlace } from '../weights/rollout-weights.ts';
import { withWayOut } from './card-memory.ts';
import { loadPolicy } from './models.ts';
import { onThisMachine } from './this-machine.ts';
import { devicesOfActors, placeRun, type Host } from './placement.ts';
import { planRun, type MixedStage, type RunPlan } from './plan.ts';
import { PromptFeed } from './prompt-feed.ts';
import { LiveRun } from './report/live-run.ts';
import { warnOfData, type Reporter } from './report/reporter.ts';
import type { DashboardProps } from '../dashboard/actor.ts';
import type { RunSummary } from '../run-folder/files.ts';
import { RunLock } from '../run-folder/lock.ts';
import { RequestBox } from '../run-folder/requests.ts';
import { StatusFile } from '../run-folder/status.ts';
import { runLoop } from './run-loop.ts';
import { newToken, spawnDashboard } from './spawn-dashboard.ts';
import { spawnRollouts, spawnRun, spawnTask, toolsFor } from './spawn.ts';
import { Timeline } from './report/timeline.ts';
import { validate, type OnScored, type Validation } from './validation.ts';

/** Long enough to read a data set. */
const TIMEOUT_MS = 3600_000;

/** Options of reinforcement learning and of supervised fine-tuning. */
export interface TrainingOptions {
  readonly reporter: Reporter;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /**
   * Aborts when the host is wanted back: the run saves a checkpoint at once and returns. A run that has not begun has
   * nothing to save and rejects with the signal's reason.
   */
  readonly preemption?: AbortSignal;
  /** Target of an event `save`, which asks for a checkpoint at once while training goes on. */
  readonly saveRequests?: EventTarget;
}

/** Options of reinforcement learning. */
export interface RunOptions extends TrainingOptions {
  /**
   * Processes on this host or others that take part from the beginning; the run ends their links. A node's slots are
   * its share of the work against the others, 1 by default.
   */
  readonly nodes?: readonly NodeOptions[];
  /** This process's share of the work against the nodes: 1 by default, and 0 for none. */
  readonly slots?: number;
  /** Calls `take` for every process that comes later, such as one started in place of a lost one. */
  readonly onJoin?: (take: (node: NodeOptions) => void) => void;
}

/**
 * Trains a policy by reinforcement learning, as its config says.
 *
 * @throws whatever ends a run: a folder that another run writes, bad data, a lost learner, NUMERIC_NONFINITE,
 *   RUNTIME_CANCELLED
 */
export async function trainPolicy(config: Config, options: RunOptions): Promise<RunSummary> {
  await using system = openSystem(config, options);
  return await trainOn(system, await joinNodes(system, options), config, options);
}

/** The system that a training's actors are on. It starts none once the work is to end. */
export function openSystem({ trainer }: Config, options: TrainingOptions): ActorSystem {
  const { localMode } = trainer;
  return new ActorSystem({ logger: options.logger, localMode, signal: anyInterruption(options) });
}

/** Aborts when the work is to end, saved or not. Before a run has begun, both are the same. */
export function anyInterruption({ signal, preemption }: TrainingOptions): AbortSignal {
  return AbortSignal.any([signal, ...(preemption === undefined ? [] : [preemption])]);
}

/** Options of a run that may be one of several on its system. */
export interface PartOptions extends TrainingOptions {
  /** Ends the run before its steps are taken. */
  readonly advance?: AdvanceRule | null;
  /** Earlier stages whose data and rewards go on, each with its share of every step's prompts. */
  readonly mix?: readonly MixedStage[];
  /** Timeline of the runs before, which this one continues. */
  readonly timeline?: Timeline;
  /** Folder above several runs, and the secret of the URL, where they share a dashboard. */
  readonly dashboard?: Pick<DashboardProps, 'folder' | 'token'>;
}

/** Trains on a system that may have other runs before and after: plan, spawn, loop, finish. */
export async function trainOn(
  system: ActorSystem,
  hosts: readonly Host[],
  given: Config,
  options: PartOptions,
): Promise<RunSummary> {
  const started = performance.now();
  const { logger, advance = null, mix } = options;
  const config = await onThisMachine(given, options.reporter);
  const plan = planRun(config, mix, (line) => options.reporter.note(line));
  await using owned = new AsyncDisposableStack();
  owned.use(await RunLock.take(plan.folder));
  const requests = owned.use(await RequestBox.open(plan.folder));
  owned.defer(() => system.stopActors());
  const { rayTimeline, valOnly } = plan.trainer;
  const timeline = options.timeline ?? new Timeline();
  if (rayTimeline !== null) {
    timeline.keep();
    owned.defer(() => timeline.write(rayTimeline));
  }
  const places = placeRun(plan.placement, hosts);
  const trainedOn = places.learners.map(({ device }) => device);
  const gauge = openMemoryGauge(trainedOn);
  const { device, rolloutDataDir, validationDataDir } = plan.trainer;
  const samples = { rollout: rolloutDataDir, validation: validationDataDir };
  const devices = devicesOfActors(places);
  const live = owned.use(new LiveRun({ system, timeline, gauge, device, devices, samples }));
  // A run that only validates leaves the status of the run itself.
  if (!valOnly) owned.use(await beginStatus(plan, live));
  const reporter = live.listening(options.reporter, logger);
  if (plan.trainer.dashboard) {
    const shared = options.dashboard ?? { folder: plan.folder, token: newToken() };
    const url = await spawnDashboard(system, { ...shared, port: plan.trainer.dashboardPort });
    // Not a note of the run: its log must not have the token.
    options.reporter.note(url);
  }
  const stopped = new AbortController();
  const preemption = AbortSignal.any([
    stopped.signal,
    ...(options.preemption ? [options.preemption] : []),
  ]);
  owned.use(addAbortListener(preemption, () => live.stops()));
  const stop = (): void => stopped.abort(new CxmindError('RUNTIME_CANCELLED', 'asked to stop'));
  try {
    const spawned = await spawnRun(system, plan, places, { reporter, logger, gauge }, owned);
    const signal = AbortSignal.any([options.signal, system.signal]);
    const shown = { reporter, logger, timeline, live, gauge, product: productOf(trainedOn[0]!) };
    const context = { ...spawned, ...shown, plan, feed: new PromptFeed(), signal, preemption };
    const write = (text: string): void => options.reporter.note(text);
    const loop = { ...options, advance, lost: system.signal, started, stop, write, requests };
    const summary = await runLoop(context, loop);
    live.ends(summary.preempted === true ? 'stopped' : 'done');
    return summary;
  } catch (error) {
    // The loss of an actor cancels the work of the others. The loss is the reason, not the cancelled work.
    const ended: unknown = system.signal.aborted ? system.signal.reason : error;
    live.endsBy(ended, anyInterruption(options));
    throw withWayOut(ended);
  }
}

/**
 * Writes the status from now on. A run that goes on in its folder has the place that it had, until it has read its
 * checkpoint.
 */
async function beginStatus({ folder, trainer }: RunPlan, live: LiveRun): Promise<StatusFile> {
  const { findLastCheckpoint, loadCheckpointPath } = trainer;
  const earlier = findLastCheckpoint && loadCheckpointPath === null ? await statusIn(folder) : null;
  if (earlier !== null) live.recalls(earlier);
  return await StatusFile.begin(folder, () => live.status());
}

/** Adds the nodes that are here, and later those that join. @returns the hosts of now, this one first */
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

/**
 * Samples and scores a policy's answers to the validation set. Nothing is trained, so there are no gradients or
 * moments.
 *
 * @param onScored called with the answers of each batch as soon as they are scored
 */
export async function evaluatePolicy(
  given: Config,
  options: RunOptions,
  onScored: OnScored,
): Promise<Validation> {
  const { logger, reporter } = options;
  const config = await onThisMachine(given, reporter);
  await using system = openSystem(config, options);
  const hosts = await joinNodes(system, options);
  const signal = AbortSignal.any([options.signal, system.signal]);
  const plan = planRun(config, [], (line) => reporter.note(line));
  const places = placeRun(plan.placement, hosts);
  const policy = await loadPolicy(system, plan.policy.model);
  await using weights = new PolicyWeights(system, policy, logger);
  const task = { ...plan.task, data: { ...plan.task.data, trainFiles: null, batchSize: 1 } };
  const tools = await toolsFor(system, plan.rollout, logger);
  const actors = {
    task: await spawnTask(system, task, { model: policy.config, tools }, places.rewards),
    rollouts: await spawnRollouts(system, plan.rollout, policy, weights, places.rollouts),
  };
  weights.trained.publish(1);
  const ask = { timeoutMs: TIMEOUT_MS, signal };
  const { validationPrompts, notes } = await actors.task.data.ask.summary(undefined, ask);
  warnOfData(notes, reporter);
  const rolloutWeights = weightsInPlace(weights.trained);
  const context = { plan, actors, rolloutWeights, reporter, signal };
  try {
    return await validate(context, validationPrompts, initialGateState, onScored);
  } catch (error) {
    // As in `trainOn`.
    system.signal.throwIfAborted();
    throw error;
  }
}
