/** Starts the actors of a run: each role with its settings, its place and the weights that it reads. */
import { availableParallelism } from 'node:os';
import { pixelSettings, type SampleSettings } from '../../src/data/sample-options.ts';
import { pictureTokens, type ModelConfig } from '../../src/model/model-config.ts';
import type { Tool } from '../../src/text/chat-template.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { criticProtocol } from '../critic/protocol.ts';
import type { DataProps } from '../data/actor.ts';
import { pixelProtocol } from '../data/pixels.ts';
import { dataProtocol } from '../data/protocol.ts';
import { environmentTools } from '../environment/environments.ts';
import { introduce, isTogether, ranksAt } from '../joint/introduce.ts';
import type { JointProtocol } from '../joint/protocol.ts';
import type { RankInfo } from '../joint/rank.ts';
import type { TrainedProps } from '../joint/trained-actor.ts';
import { learnerProtocol } from '../learner/protocol.ts';
import type { ReferenceProps } from '../reference/actor.ts';
import { referenceProtocol } from '../reference/protocol.ts';
import { rewardProtocol } from '../reward/protocol.ts';
import type { RolloutProps } from '../rollout/actor.ts';
import { rolloutProtocol } from '../rollout/protocol.ts';
import type { Logger } from '../runtime/actor.ts';
import type { Place } from '../runtime/placement.ts';
import type { Protocol } from '../runtime/protocol.ts';
import type { ActorRef } from '../runtime/ref.ts';
import type { WithSharedBlocks } from '../runtime/shared-blocks.ts';
import { defaultSupervision } from '../runtime/supervisor.ts';
import type { ActorSystem, ThreadActor } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import type { ReferenceWeights } from '../weights/reference-weights.ts';
import { TrailingWeights, weightsInPlace } from '../weights/rollout-weights.ts';
import { WeightSync } from '../weights/sync.ts';
import { keptOnCard, memoryTable } from './card-memory.ts';
import type { RunActors, StepContext } from './context.ts';
import { Critics, Learners } from './learners.ts';
import {
  freezeReference,
  loadCritic,
  loadPolicy,
  modelProps,
  policyProps,
  takesPolicyWeights,
  type LoadedModel,
} from './models.ts';
import type { RunPlacement, Station } from './placement.ts';
import type { CriticPlan, PolicyPlan, RunPlan, TaskPlan } from './plan.ts';
import type { Task } from './prompt-feed.ts';

/** Time for a user's function to run its exit handlers. One that still computes then is ended. */
const REWARD_GRACE_MS = 3_000;
/** Time for a rollout to end a pass of a large model, after which it reads the message that pauses it. */
const ROLLOUT_GRACE_MS = 120_000;
/** Long enough to bring the weights of a large model to a device. */
const TAKING_MS = 600_000;
/** Supervision of actors that hold state of the step: their loss ends the run. */
const essential = { onCrash: 'escalate' } as const;
/** Supervision of actors on nodes. A node may be lost with all its actors; the run goes on while others are left. */
const replaceable = { ...defaultSupervision, givenUp: 'stop' } as const;

/**
 * Loads the models of a run and starts its actors.
 *
 * @param owned takes the weights, to dispose of them after the run, before its actors are stopped
 */
export async function spawnRun(
  system: ActorSystem,
  plan: RunPlan,
  places: RunPlacement,
  { logger, reporter, gauge }: Pick<StepContext, 'logger' | 'reporter' | 'gauge'>,
  owned: AsyncDisposableStack,
): Promise<Pick<StepContext, 'actors' | 'weights' | 'rolloutWeights' | 'sizes'>> {
  const policy = await loadPolicy(system, plan.policy.model);
  for (const note of policy.notes) reporter.note(note);
  const isAhead = plan.step.maxStaleness > 0;
  const weights = owned.use(new PolicyWeights(system, policy, logger, isAhead));
  const tools = await toolsFor(system, plan.rollout, logger);
  const [task, ...replays] = await Promise.all(
    [plan.task, ...plan.replays].map((each) =>
      spawnTask(system, each, { model: policy.config, tools }, places.rewards),
    ),
  );
  // Before anything restores or trains the weights.
  let reference: RunActors['reference'] = null;
  if (plan.reference !== null) {
    const { model, moves } = plan.reference;
    const frozen = owned.use(freezeReference(system, model, policy, weights, logger, moves));
    reference = await spawnReference(system, plan.reference, policy, frozen, places.reference);
  }
  const critic = plan.critic && (await loadCritic(system, plan.critic.model));
  for (const note of critic?.notes ?? []) reporter.note(note);
  const criticWeights = critic && owned.use(new WeightSync(system, 'critic', critic, logger));
  const actors = {
    task: task!,
    replays,
    reference,
    critics:
      plan.critic &&
      (await spawnCritics(system, plan.critic, critic!, criticWeights!, places.learners)),
    learners: await spawnLearners(
      system,
      plan.policy,
      policy,
      weights,
      places.learners,
      pictureTokens(policy.config),
    ),
    rollouts: await spawnRollouts(system, plan.rollout, policy, weights, places.rollouts),
  };
  const [card] = gauge.read();
  if (card !== undefined) {
    reporter.note(memoryTable(card.device, keptOnCard(plan, { policy, critic }), card.freeBytes));
  }
  const { trained, sampled } = weights;
  const rolloutWeights = isAhead
    ? new TrailingWeights(trained, sampled, () => actors.learners.collect())
    : weightsInPlace(trained);
  const sizes = { policy: policy.config.text, critic: critic && critic.config.text };
  return { actors, weights: trained, rolloutWeights, sizes };
}

/** The functions that the policy may call, which an environment that does not load fails to say. */
export async function toolsFor(
  { signal }: ActorSystem,
  { episodes }: Pick<RunPlan['rollout'], 'episodes'>,
  logger: Logger,
): Promise<readonly Tool[]> {
  return episodes === null ? [] : await environmentTools(episodes.environment, logger, signal);
}

/** The policy as prompts are made for it. */
interface Addressee {
  readonly model: ModelConfig;
  /** Functions that it may call, which prompts show; none where it is left out. */
  readonly tools?: readonly Tool[];
}

/** Starts the data actor and the reward actors of a task. */
export async function spawnTask(
  system: ActorSystem,
  plan: TaskPlan,
  addressee: Addressee,
  places: readonly Place[],
): Promise<Task> {
  const [data, rewards] = await Promise.all([
    spawnData(system, plan, addressee),
    spawnRewards(system, plan, places),
  ]);
  return { name: plan.name, data, rewards };
}

/** Starts the data actor over the sets that are named, and its readers of pixels. */
export async function spawnData(
  system: ActorSystem,
  plan: Pick<TaskPlan, 'name' | 'data' | 'pixelReaders'>,
  { model, tools = [] }: Addressee,
): Promise<Task['data']> {
  const name = nameIn(plan, 'data');
  const settings = { ...plan.data, model };
  const readers = await spawnPixelReaders(system, settings, plan.pixelReaders, name);
  const pixelReaders = readers.map((reader) => reader.name);
  const props: DataProps = { ...settings, pixelReaders, tools };
  return system.spawn({
    name,
    protocol: dataProtocol,
    module: new URL('../data/actor.ts', import.meta.url),
    create: 'dataActor',
    props,
    supervision: essential,
    uses: readers,
  });
}

/** Starts the threads that decode images and videos for a data actor; null is one for two cores, at most 8. */
function spawnPixelReaders(
  system: ActorSystem,
  settings: SampleSettings,
  wanted: number | null,
  owner: string,
): Promise<ActorRef<typeof pixelProtocol>[]> {
  const props = pixelSettings(settings);
  const usual = Math.min(8, Math.ceil(availableParallelism() / 2));
  const count = props === null ? 0 : (wanted ?? usual);
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      system.spawn({
        name: `${owner}/pixels/${index}`,
        protocol: pixelProtocol,
        module: new URL('../data/pixels.ts', import.meta.url),
        create: 'pixelActor',
        props,
      }),
    ),
  );
}

/** Starts the reward actors of a task, one for each reward at each place. */
function spawnRewards(
  system: ActorSystem,
  plan: Pick<TaskPlan, 'name' | 'rewards'>,
  places: readonly Place[],
): Promise<Task['rewards']> {
  return Promise.all(
    plan.rewards.map(async ({ source, ...reward }) => {
      const { kind, props } = source;
      const { module, create } = rewardModules[kind];
      const role = nameIn(plan, ['reward', reward.name ?? []].flat().join('/'));
      // One judge bounds the requests of a run, and the key does not leave this host. One copy of a model is enough.
      const own = kind === 'function' ? places : ['thread' as const];
      const spawned = own.map((place, index) =>
        system.spawn({
          ...{ name: `${role}/${index}`, protocol: rewardProtocol, module, create, props },
          graceMs: REWARD_GRACE_MS,
          ...placedAt(place),
        }),
      );
      const actors = await Promise.all(spawned);
      return { ...reward, actors, seesPictures: kind === 'model' };
    }),
  );
}

/** Actors of each kind of reward. */
const rewardModules = {
  function: { module: new URL('../reward/actor.ts', import.meta.url), create: 'rewardActor' },
  model: {
    module: new URL('../reward-model/actor.ts', import.meta.url),
    create: 'rewardModelActor',
  },
  judge: { module: new URL('../judge/actor.ts', import.meta.url), create: 'judgeActor' },
};

/** The name of a task's actor. */
function nameIn({ name }: Pick<TaskPlan, 'name'>, role: string): string {
  return name === null ? role : `replay/${name}/${role}`;
}

/**
 * Starts the learners over the policy's weights, which those of a process share.
 *
 * @param bannedTokens tokens that no response to train on holds, and that the policy gives no probability therefore
 */
export async function spawnLearners(
  system: ActorSystem,
  plan: PolicyPlan,
  policy: LoadedModel,
  weights: PolicyWeights,
  stations: readonly Station[],
  bannedTokens: readonly number[],
): Promise<Learners> {
  const props = { ...plan.settings, ...trainedBy(policy, stations), bannedTokens };
  const refs = await spawnRanks(stations, plan.collectives, ({ place, device }, rank, index) =>
    system.spawn({
      name: `learner/${index}`,
      protocol: learnerProtocol,
      module: new URL('../learner/actor.ts', import.meta.url),
      create: 'learnerActor',
      props: { ...props, model: policyProps(policy, weights, device), rank },
      supervision: essential,
      place,
    }),
  );
  for (const ref of refs) weights.followLearner(ref);
  return new Learners(refs);
}

/** Starts the critics where the learners are. */
async function spawnCritics(
  system: ActorSystem,
  plan: CriticPlan,
  critic: LoadedModel,
  weights: WeightSync,
  stations: readonly Station[],
): Promise<Critics> {
  const props = { ...plan.settings, ...trainedBy(critic, stations) };
  // A process has one MPI, and the learners use it.
  const refs = await spawnRanks(stations, 'zeromq', ({ place, device }, rank, index) =>
    system.spawn({
      name: `critic/${index}`,
      protocol: criticProtocol,
      module: new URL('../critic/actor.ts', import.meta.url),
      create: 'criticActor',
      props: { ...props, model: modelProps(critic, weights, device), rank },
      supervision: essential,
      place,
    }),
  );
  for (const ref of refs) weights.followLearner(ref);
  return new Critics(refs, weights);
}

/** Starts a rank at each station, and has those of several processes join each other. */
async function spawnRanks<Ref extends ActorRef<JointProtocol>>(
  stations: readonly Station[],
  collectives: PolicyPlan['collectives'],
  spawn: (station: Station, rank: RankInfo, index: number) => Promise<Ref>,
): Promise<Ref[]> {
  const places = stations.map(({ place }) => place);
  const ranks = ranksAt(places, collectives);
  const refs = await Promise.all(
    stations.map((station, index) => spawn(station, ranks[index]!, index)),
  );
  if (ranks[0]!.kind === 'processes') await introduce(refs);
  return refs;
}

function trainedBy(
  { directory, overrides }: LoadedModel,
  stations: readonly Station[],
): Pick<TrainedProps, 'modelPath' | 'overrides' | 'sharesWeights'> {
  const sharesWeights = isTogether(stations.map(({ place }) => place));
  return { modelPath: directory, overrides, sharesWeights };
}

/** Starts the rollout actors, which read the learners' weights, or a second arena of them. */
export async function spawnRollouts(
  system: ActorSystem,
  { engine, tokenizerPath, episodes }: RunPlan['rollout'],
  policy: LoadedModel,
  weights: PolicyWeights,
  stations: readonly Station[],
): Promise<RunActors['rollouts']> {
  const props: WithSharedBlocks<Omit<RolloutProps, 'model'>> = {
    engine: { ...engine, bannedTokens: pictureTokens(policy.config) },
    stopTokens: Tokenizer.load(tokenizerPath).eosIds,
    tokenizerPath,
    episodes,
  };
  const read = { frozen: weights.frozen, trained: weights.sampled };
  const refs = await Promise.all(
    stations.map(({ place, device }, index) =>
      system.spawn({
        name: `rollout/${index}`,
        protocol: rolloutProtocol,
        module: new URL('../rollout/actor.ts', import.meta.url),
        create: 'rolloutActor',
        graceMs: ROLLOUT_GRACE_MS,
        props: { ...props, model: policyProps(policy, read, device) },
        ...placedAt(place),
      }),
    ),
  );
  for (const ref of refs) weights.followRollout(ref);
  return refs;
}

/** Starts the reference on its weights; its device has taken them when this returns, if it takes the policy's. */
async function spawnReference(
  system: ActorSystem,
  { model, moves, ...settings }: NonNullable<RunPlan['reference']>,
  policy: LoadedModel,
  weights: ReferenceWeights,
  { place, device }: Station,
): Promise<RunActors['reference']> {
  const props: WithSharedBlocks<ReferenceProps> = {
    model: modelProps(policy, weights.sync, device),
    ...settings,
  };
  const ref = await system.spawn({
    name: 'reference',
    protocol: referenceProtocol,
    module: new URL('../reference/actor.ts', import.meta.url),
    create: 'referenceActor',
    props,
    ...placedAt(place),
  });
  weights.sync.follow(ref);
  if (takesPolicyWeights(model, moves)) {
    await ref.ask.takeWeights(undefined, { timeoutMs: TAKING_MS, signal: system.starting });
  }
  return { ref, weights };
}

type Placed = Pick<ThreadActor<Protocol, unknown>, 'place' | 'supervision'>;

function placedAt(place: Place): Placed {
  return place === 'thread' ? { place } : { place, supervision: replaceable };
}
