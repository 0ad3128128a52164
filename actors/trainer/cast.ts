import { availableParallelism } from 'node:os';
import type { Config } from '../../src/config/schema.ts';
import { pixelSettings, type SampleSettings } from '../../src/data/sample-options.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import type { LoadedCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { rewardChoice } from '../../src/reward/configured.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import { slices } from '../../src/tensor/slices.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import type { CriticProps } from '../critic/actor.ts';
import { criticProtocol } from '../critic/protocol.ts';
import type { DataProps } from '../data/actor.ts';
import { pixelProtocol } from '../data/pixels.ts';
import { dataProtocol } from '../data/protocol.ts';
import type { LearnerProps } from '../learner/actor.ts';
import { learnerProtocol } from '../learner/protocol.ts';
import { FROZEN_VERSION } from '../model-props.ts';
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
import type { PolicyWeights } from '../weights/policy-weights.ts';
import { WeightSync } from '../weights/sync.ts';
import type { LoadedCritic } from './critic.ts';
import { Critics } from './critics.ts';
import { introduce, isTogether, seatsAt } from './learner-seats.ts';
import { Learners } from './learners.ts';
import type { Station } from './placement.ts';
import {
  computedBy,
  modelMarker,
  modelProps,
  policyProps,
  roundToStorage,
  trainedProps,
  type LoadedPolicy,
} from './policy.ts';
import {
  criticSettings,
  dataSettings,
  engineSettings,
  learnerSettings,
  referenceSettings,
  rewardSettings,
  tokenizerPathOf,
} from './settings.ts';
import type { Replay } from './context.ts';
import type { Cast } from './run-actors.ts';

/** A user's function is ended when nobody waits for it any more; one that is idle may do what it does at exit. */
const REWARD_GRACE_MS = 3_000;
/** Elements of the reference's copy: few enough that both sides of it may lie in files. */
const COPIED_AT_ONCE = 2 ** 22;
/** Actors whose loss ends the run: the state of the step is theirs. */
const essential = { onCrash: 'escalate' } as const;
/** Actors on nodes, which may be lost with all that is there: the run goes on while others are left. */
const replaceable = { ...defaultSupervision, givenUp: 'stop' } as const;

/** Starts the data actor over the training and validation sets that are named, and its readers of pixels. */
export async function spawnData(
  system: ActorSystem,
  config: Config,
  { config: model }: LoadedCheckpoint,
  source: Pick<DataProps, 'trainFiles' | 'validationFiles' | 'batchSize'>,
  name = 'data',
): Promise<ActorRef<typeof dataProtocol>> {
  const settings = dataSettings(config, model);
  const readers = await spawnPixelReaders(system, config, settings, name);
  const props: DataProps = {
    ...settings,
    ...source,
    pixelReaders: readers.map(({ name }) => name),
  };
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

/** Starts the threads that decode images and videos for the data actor. */
function spawnPixelReaders(
  system: ActorSystem,
  { data }: Config,
  settings: SampleSettings,
  owner: string,
): Promise<ActorRef<typeof pixelProtocol>[]> {
  const props = pixelSettings(settings);
  const usual = Math.min(8, Math.ceil(availableParallelism() / 2));
  const count = props === null ? 0 : (data.numWorkers ?? usual);
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

/** Starts the learners over the policy's weights, which those of a process share. */
export async function spawnLearners(
  system: ActorSystem,
  config: Config,
  policy: LoadedPolicy,
  weights: PolicyWeights,
  stations: readonly Station[],
): Promise<Learners> {
  const places = stations.map(({ place }) => place);
  const props: WithSharedBlocks<Omit<LearnerProps, 'seat' | 'model'>> = {
    ...learnerSettings(config),
    modelPath: policy.directory,
    overrides: policy.overrides,
    sharesWeights: isTogether(places),
  };
  const seats = seatsAt(places, config.transport.collectives);
  const spawned = stations.map(({ place, device }, rank) =>
    system.spawn({
      name: `learner/${rank}`,
      protocol: learnerProtocol,
      module: new URL('../learner/actor.ts', import.meta.url),
      create: 'learnerActor',
      props: { ...props, model: policyProps(config, policy, weights, device), seat: seats[rank]! },
      supervision: essential,
      place,
    }),
  );
  const refs = await Promise.all(spawned);
  if (seats[0]!.kind === 'processes') await introduce(refs);
  for (const ref of refs) weights.followLearner(ref);
  return new Learners(refs);
}

/** Starts the critics where the learners are. */
export async function spawnCritics(
  system: ActorSystem,
  config: Config,
  critic: LoadedCritic,
  weights: WeightSync,
  stations: readonly Station[],
): Promise<Critics> {
  const places = stations.map(({ place }) => place);
  const props: WithSharedBlocks<Omit<CriticProps, 'seat' | 'model'>> = {
    ...criticSettings(config),
    modelPath: critic.directory,
    overrides: critic.overrides,
    sharesWeights: isTogether(places),
  };
  // MPI is one a process, and the learners have it.
  const seats = seatsAt(places, 'zeromq');
  const refs = await Promise.all(
    stations.map(({ place, device }, rank) =>
      system.spawn({
        name: `critic/${rank}`,
        protocol: criticProtocol,
        module: new URL('../critic/actor.ts', import.meta.url),
        create: 'criticActor',
        props: {
          ...props,
          model: trainedProps(config, critic, weights, device),
          seat: seats[rank]!,
        },
        supervision: essential,
        place,
      }),
    ),
  );
  if (seats[0]!.kind === 'processes') await introduce(refs);
  for (const ref of refs) weights.followLearner(ref);
  return new Critics(refs, weights);
}

/** Starts the rollout actors, which read the learners' weights. */
export async function spawnRollouts(
  system: ActorSystem,
  config: Config,
  policy: LoadedPolicy,
  weights: PolicyWeights,
  stations: readonly Station[],
): Promise<Cast['rollouts']> {
  const props: WithSharedBlocks<Omit<RolloutProps, 'model'>> = {
    engine: engineSettings(config, policy.config),
    stopTokens: Tokenizer.load(tokenizerPathOf(config)).eosIds,
  };
  const places = stations.map(({ place }) => place);
  const refs = await spawnAt(places, (placed, index) =>
    system.spawn({
      name: `rollout/${index}`,
      protocol: rolloutProtocol,
      module: new URL('../rollout/actor.ts', import.meta.url),
      create: 'rolloutActor',
      props: { ...props, model: policyProps(config, policy, weights, stations[index]!.device) },
      ...placed,
    }),
  );
  for (const ref of refs) weights.follow(ref);
  return refs;
}

/** Starts the reward actors. */
export function spawnRewards(
  system: ActorSystem,
  config: Config,
  places: readonly Place[],
  name = 'reward',
): Promise<Cast['rewards']> {
  const props = rewardSettings(config);
  return spawnAt(places, (placed, index) =>
    system.spawn({
      name: `${name}/${index}`,
      protocol: rewardProtocol,
      module: new URL('../reward/actor.ts', import.meta.url),
      create: 'rewardActor',
      props,
      graceMs: REWARD_GRACE_MS,
      ...placed,
    }),
  );
}

/** Starts what an earlier stage needs to go on inside this one: its data, and those who score their answers. */
export async function spawnReplay(
  system: ActorSystem,
  config: Config,
  checkpoint: LoadedCheckpoint,
  stage: { readonly name: string; readonly config: Config; readonly batchSize: number },
  places: readonly Place[],
): Promise<Replay> {
  const { maxPromptLength, maxResponseLength } = config.data;
  const own: Config = {
    ...config,
    data: { ...stage.config.data, maxPromptLength, maxResponseLength },
    worker: { ...config.worker, reward: stage.config.worker.reward },
  };
  const source = {
    trainFiles: own.data.trainFiles,
    validationFiles: null,
    batchSize: stage.batchSize,
  };
  const [data, rewards] = await Promise.all([
    spawnData(system, own, checkpoint, source, `replay/${stage.name}/data`),
    spawnRewards(system, own, places, `replay/${stage.name}/reward`),
  ]);
  return { name: stage.name, data, rewards, gate: rewardChoice(own.worker.reward).gate };
}

/**
 * The weights that the reference keeps, which have one version: a copy of the policy's as they are now, or, where
 * adapters are trained, the very ones that they are trained beside. Null when KL is off.
 */
export function freezeReference(
  system: ActorSystem,
  config: Config,
  { arena, computeDType: usual }: LoadedPolicy,
  weights: PolicyWeights,
  logger: Logger,
): WeightSync | null {
  if (config.algorithm.disableKl) return null;
  if (weights.frozen !== null) return weights.frozen;
  const { ref } = config.worker;
  const marker = modelMarker('reference', arena.byteLength, config);
  const copy = new Arena(arena.layout, system.blocks.get(marker));
  for (const { start, end } of slices(arena.data.length, COPIED_AT_ONCE)) {
    const [from, to] = [arena, copy].map(({ data }) => data.subarray(start, end));
    to!.set(from!);
    roundToStorage(ref.fsdp.torchDtype, to!);
    letGo(from!);
    letGo(to!);
  }
  const frozen = new WeightSync(
    system,
    'reference',
    { arena: copy, ...computedBy(config, ref, usual) },
    logger,
  );
  frozen.publish(FROZEN_VERSION);
  return frozen;
}

/** Starts the reference on its weights. */
export async function spawnReference(
  system: ActorSystem,
  config: Config,
  policy: LoadedPolicy,
  weights: WeightSync,
  { place, device }: Station,
): Promise<NonNullable<Cast['reference']>> {
  const props: WithSharedBlocks<ReferenceProps> = {
    model: modelProps(config, policy, weights, device),
    ...referenceSettings(config),
  };
  const [ref] = await spawnAt([place], (placed) =>
    system.spawn({
      name: 'reference',
      protocol: referenceProtocol,
      module: new URL('../reference/actor.ts', import.meta.url),
      create: 'referenceActor',
      props,
      ...placed,
    }),
  );
  weights.follow(ref!);
  return ref!;
}

type Placed = Pick<ThreadActor<Protocol, unknown>, 'place' | 'supervision'>;

/** Starts an actor at each place. */
function spawnAt<T>(
  places: readonly Place[],
  spawn: (placed: Placed, index: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(
    places.map((place, index) =>
      spawn(place === 'thread' ? { place } : { place, supervision: replaceable }, index),
    ),
  );
}
