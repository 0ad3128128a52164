import { promptsOfShares } from '../../src/config/curriculum.ts';
import { sourceList } from '../../src/config/data-source.ts';
import type { Config } from '../../src/config/schema.ts';
import { asCxmindError, toWireError } from '../../src/errors.ts';
import { rewardChoice } from '../../src/reward/configured.ts';
import type { AdvanceRule } from '../../src/training/advance.ts';
import type { Logger } from '../runtime/actor.ts';
import type { NodeOptions } from '../runtime/placement.ts';
import { ActorSystem, type SystemOptions } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { WeightSync } from '../weights/sync.ts';
import {
  freezeReference,
  spawnCritics,
  spawnData,
  spawnLearners,
  spawnReference,
  spawnReplay,
  spawnRewards,
  spawnRollouts,
} from './cast.ts';
import { freeBytesOf, keptOnCard, memoryTable, withWayOut } from './card-memory.ts';
import type { Cast } from './run-actors.ts';
import { loadCritic } from './critic.ts';
import { loadPolicy } from './policy.ts';
import { onThisMachine } from './on-this-machine.ts';
import { placeRun, type Host } from './placement.ts';
import type { Reporter } from './reporter.ts';
import type { RunSummary } from './run-files.ts';
import { RunLock } from './run-lock.ts';
import { RunLoop } from './run-loop.ts';
import { PromptFeed } from './tasks.ts';
import { Timeline } from './timeline.ts';
import { folderOf } from './tracking.ts';

/** What any training needs besides its config. */
export interface TrainingOptions extends Pick<SystemOptions, 'localMode'> {
  readonly reporter: Reporter;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /**
   * Aborts when reinforcement learning is to save a checkpoint at once, and return: its host is wanted back. A run that
   * has not begun has nothing to save, and is ended by its reason.
   */
  readonly preemption?: AbortSignal;
  /** An event `save` asks reinforcement learning for a checkpoint at once, while it goes on. */
  readonly saveRequests?: EventTarget;
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
 * @throws whatever ends a run: a folder that another run writes, bad data, a lost learner, NUMERIC_NONFINITE,
 *   RUNTIME_CANCELLED
 */
export async function trainPolicy(config: Config, options: RunOptions): Promise<RunSummary> {
  await using system = new ActorSystem({ ...options, signal: anyInterruption(options) });
  return await trainOn(system, await joinNodes(system, options), config, options);
}

/** Aborts when the work is to end, whether or not it saves what it has: before it has begun, that is nothing. */
export function anyInterruption({ signal, preemption }: TrainingOptions): AbortSignal {
  return AbortSignal.any([signal, ...(preemption === undefined ? [] : [preemption])]);
}

/** What a run that is one of several needs to know besides. */
export interface PartOptions extends TrainingOptions {
  /** Ends the run before its steps are taken. */
  readonly advance?: AdvanceRule | null;
  /** Earlier stages whose data and rewards go on, each with its share of every step's prompts. */
  readonly mix?: readonly MixedStage[];
  /** Where its phases are drawn behind those of the runs before, if the config wants that at all. */
  readonly timeline?: Timeline;
}

/** An earlier stage that goes on. */
export interface MixedStage {
  readonly name: string;
  /** Of every step's prompts, in (0, 1). */
  readonly share: number;
  /** The stage's own; its `data` and `worker.reward` count. */
  readonly config: Config;
}

/** One run on a system that may have others before and after it; it stops the actors it started. */
export async function trainOn(
  system: ActorSystem,
  hosts: readonly Host[],
  given: Config,
  options: PartOptions,
): Promise<RunSummary> {
  const started = performance.now();
  const { logger, reporter, advance = null } = options;
  const config = await onThisMachine(given, reporter);
  await using owned = new AsyncDisposableStack();
  owned.use(await RunLock.take(folderOf(config)));
  owned.defer(() => system.stopActors());
  const signal = AbortSignal.any([options.signal, system.signal]);
  const places = placeRun(config, hosts);
  const policy = await loadPolicy(system, config);
  for (const note of policy.notes) reporter.note(note);
  const { gate } = rewardChoice(config.worker.reward, (line) => reporter.note(line));
  await using weights = new PolicyWeights(system, policy, logger);
  const batchSize = config.data.miniRolloutBatchSize ?? config.data.rolloutBatchSize;
  const { mix = [] } = options;
  const shares = promptsOfShares(
    mix.map(({ share }) => share),
    batchSize,
  );
  const data = await spawnData(system, config, policy, {
    trainFiles: config.trainer.valOnly ? null : config.data.trainFiles,
    validationFiles: sourceList(config.data.valFiles).length === 0 ? null : config.data.valFiles,
    batchSize: shares.reduce((rest, share) => rest - share, batchSize),
  });
  const replays = await Promise.all(
    mix.map((stage, i) =>
      spawnReplay(system, config, policy, { ...stage, batchSize: shares[i]! }, places.rewards),
    ),
  );
  // The reference takes the weights before anything restores or trains them.
  await using frozen = freezeReference(system, config, policy, weights, logger);
  const reference =
    frozen && (await spawnReference(system, config, policy, frozen, places.reference));
  const critic = await loadCritic(system, config);
  for (const note of critic?.notes ?? []) reporter.note(note);
  await using criticWeights = critic && new WeightSync(system, 'critic', critic, logger);
  const critics =
    critic &&
    criticWeights &&
    (await spawnCritics(system, config, critic, criticWeights, places.learners));
  const cast: Cast = {
    data,
    reference,
    critics,
    learners: await spawnLearners(system, config, policy, weights, places.learners),
    rollouts: await spawnRollouts(system, config, policy, weights, places.rollouts),
    rewards: await spawnRewards(system, config, places.rewards),
  };
  const [card] = policy.devices;
  const freeBytes = card === undefined ? null : freeBytesOf(card);
  if (freeBytes !== null) {
    reporter.note(memoryTable(card!, keptOnCard(config, { policy, critic }), freeBytes));
  }
  const sizes = { policy: policy.config.text, critic: critic && critic.config.text };
  const { rayTimeline, profile } = config.trainer;
  const isDrawn = rayTimeline !== null || profile !== null;
  const timeline = isDrawn ? (options.timeline ?? new Timeline()) : null;
  const context = {
    cast,
    weights: weights.trained,
    config,
    sizes,
    gate,
    replays,
    feed: new PromptFeed(),
    reporter,
    timeline,
    signal,
  };
  const loop = { ...options, advance, lost: system.signal };
  await using run = new RunLoop(context, loop, started);
  try {
    return await run.run();
  } catch (error) {
    // A lost actor cancels what the others do: the loss is what ended the run.
    const ended: unknown = system.signal.aborted ? system.signal.reason : error;
    throw withWayOut(ended);
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
