/** The work and the memory of one step of a run, counted part by part on devices that compute nothing. */
import { needsGreedy } from '../algorithms/advantage.ts';
import type { PromptInput, SequenceInput } from '../model/pack.ts';
import { modelModules } from '../model/parameters.ts';
import { parameterGroupsOf } from '../model/weights/modules.ts';
import { bytesPerElement, type FloatDType } from '../tensor/dtype.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { patchBytes } from '../tensor/patch-levels.ts';
import { needsEntropies } from '../training/exploration.ts';
import { learnerShares } from '../training/mini-batches.ts';
import { CountedDevice, type DeviceKind, type PeakMemory } from './counted/device.ts';
import { noWork, timesWork, type Work } from './counted/work.ts';
import { countedGeneration, type CountedGeneration } from './generation.ts';
import { keptRun, type KeptRun } from './kept.ts';
import { openCounted, scoringWork, updateWork } from './passes.ts';
import { madeResponses } from './prompts.ts';
import type { PlannedPlaces, PlannedRun, PlannedUpdates } from './settings.ts';
import type { SizedModel } from './sizes.ts';

/** Phases of a step, in their order, by the names of their metrics `timing_s/…`; generation in its two parts. */
export const phases = [
  'prefill',
  'decode',
  'old',
  'ref',
  'values',
  'update_critic',
  'update_actor',
] as const;
export type Phase = (typeof phases)[number];

/** A role of actors with models. Those of one role share a device where there are more of them than devices. */
export type ActorName = 'rollout' | 'learner' | 'reference' | 'critic';

/** The models of a run, from their `config.json` alone. */
export interface RunModels {
  readonly policy: SizedModel;
  readonly critic: SizedModel | null;
}

/** Prompts and responses that a run trains on in a step. */
export interface StepData {
  /** Prompts of a step, `[P]`. */
  readonly prompts: readonly PromptInput[];
  /** Tokens of a response, as a mean; the memory has room for the longest. */
  readonly responseTokens: number;
}

/** A step of a run, counted. */
export interface CountedStep {
  readonly kind: DeviceKind;
  /** The work of one device in each phase; others have as much at the same time. */
  readonly work: Readonly<Record<Phase, Work>>;
  /** The memory that all actors of a role take on one device. */
  readonly actors: Readonly<Partial<Record<ActorName, PeakMemory>>>;
  /** Actors of a role on one device. */
  readonly places: PlannedPlaces;
  /** The cache of one rollout. */
  readonly cache: Pick<CountedGeneration, 'cacheBytes' | 'sequenceBytes' | 'decodeAt'> & {
    /** Bytes of the module with the most parameters, as it computes. */
    readonly largestModuleBytes: number;
  };
  readonly kept: KeptRun;
  /** Bytes of a step's prompts, responses and numbers by token in the leading process. */
  readonly experienceBytes: number;
  /** Prompt and response tokens that a step trains on. */
  readonly tokens: number;
}

/**
 * Counts a step of a run.
 *
 * Actors of one role that share a device have their work at the same time: the device has the sum of it, and of their
 * workspaces.
 */
export async function countStep(
  run: PlannedRun,
  { policy, critic }: RunModels,
  { prompts, responseTokens }: StepData,
  places: PlannedPlaces,
): Promise<CountedStep> {
  const kind: DeviceKind = run.policy.model.devices[0] === 'cpu' ? 'cpu' : 'cuda';
  const { learners, learnersADevice, rolloutsADevice } = places;
  const { n } = run.step.sampling;
  const samples = madeResponses(prompts, n, responseTokens);
  const { computeDType } = run.policy.model;
  const rollout = new CountedDevice(kind);
  const generation = await countedGeneration(rollout, policy, {
    prompts: prompts.slice(0, Math.ceil(prompts.length / places.rollouts)),
    // ReMax compares with the greedy response to each prompt.
    responses: needsGreedy(run.step.algorithm.advEstimator) ? n + 1 : n,
    responseTokens,
    longest: run.step.maxPromptLength + run.step.maxResponseLength,
    engine: run.rollout.engine,
    dtype: computeDType,
  });
  const { exploration } = run.step;
  const learner = await countTrained(kind, policy, run.policy, {
    ...{ samples, learners, updates: run.step.policy, exploration },
  });
  const reference = run.reference && (await countReference(kind, policy, run.reference, samples));
  const valuer =
    run.critic &&
    critic &&
    (await countTrained(kind, critic, run.critic, {
      ...{ samples, learners, updates: run.step.critic, exploration: null },
    }));
  return {
    kind,
    work: {
      prefill: timesWork(generation.prefill, rolloutsADevice),
      decode: timesWork(generation.decode, rolloutsADevice),
      old: timesWork(learner.scoring, learnersADevice),
      ref: reference?.scoring ?? noWork,
      values: timesWork(valuer?.scoring ?? noWork, learnersADevice),
      update_critic: timesWork(valuer?.update ?? noWork, learnersADevice),
      update_actor: timesWork(learner.update, learnersADevice),
    },
    actors: {
      rollout: memoryOf(rollout, rolloutsADevice),
      learner: memoryOf(learner.device, learnersADevice),
      ...(reference !== null && { reference: memoryOf(reference.device, 1) }),
      ...(valuer !== null && { critic: memoryOf(valuer.device, learnersADevice) }),
    },
    places,
    cache: { ...generation, largestModuleBytes: largestModuleBytes(policy, computeDType) },
    kept: keptRun(run, { policy, critic }, learners),
    experienceBytes: experienceBytes(prompts, samples.length * responseTokens),
    tokens: samples.reduce(
      (sum, { prompt }) => sum + prompt.tokenIds.data.length + responseTokens,
      0,
    ),
  };
}

/** Passes of a trained model in a step. */
interface TrainedPasses {
  readonly samples: readonly SequenceInput[];
  readonly learners: number;
  readonly updates: PlannedUpdates;
  /** Null for a critic, which has no entropies. */
  readonly exploration: PlannedRun['step']['exploration'] | null;
}

/** The passes of a trained model over the responses of a step, on a device of one of its actors. */
async function countTrained(
  kind: DeviceKind,
  sized: SizedModel,
  { model, settings }: PlannedRun['policy'],
  { samples, learners, updates, exploration }: TrainedPasses,
): Promise<{ readonly device: CountedDevice; readonly scoring: Work; readonly update: Work }> {
  const device = new CountedDevice(kind);
  const { computeDType: dtype } = model;
  const counted = openCounted(device, sized, dtype, settings.gradientCheckpointing);
  const own = learnerShares(samples, learners)[0]!.map((i) => samples[i]!);
  const withEntropies = exploration !== null && needsEntropies(exploration);
  return {
    device,
    scoring: await scoringWork(counted, own, settings.experienceMicroBatch, withEntropies),
    update: await updateWork(counted, samples, {
      ...{ settings, updates, learners, dtype },
      ...(exploration !== null && { entropyCoeff: exploration.entropyCoeff }),
    }),
  };
}

/** The reference's pass over the responses of a step: the policy without its adapters, on a device of its own. */
async function countReference(
  kind: DeviceKind,
  policy: SizedModel,
  { model, microBatch }: NonNullable<PlannedRun['reference']>,
  samples: readonly SequenceInput[],
): Promise<{ readonly device: CountedDevice; readonly scoring: Work }> {
  const device = new CountedDevice(kind);
  const counted = openCounted(device, { ...policy, adapter: null }, model.computeDType, false);
  return { device, scoring: await scoringWork(counted, samples, microBatch) };
}

/** The memory of as many actors on one device as there are of a role. */
function memoryOf({ memory }: CountedDevice, actors: number): PeakMemory {
  return {
    allocated: actors * memory.allocated,
    workspaces: actors * memory.workspaces,
    inside: actors * memory.inside,
    programs: actors * memory.programs,
  };
}

/** Bytes of numbers by response token: ids, log-probabilities of three models, values, advantages and returns. */
const NUMBERS_BYTES = 7 * 4;
/** Bytes of a prompt's token: its id and its positions. */
const TOKEN_BYTES = 4 * 4;

function experienceBytes(prompts: readonly PromptInput[], responseTokens: number): number {
  const ofPrompts = prompts.reduce(
    (sum, { tokenIds, pixelValues }) =>
      sum + TOKEN_BYTES * tokenIds.data.length + (pixelValues ? patchBytes(pixelValues) : 0),
    0,
  );
  return ofPrompts + NUMBERS_BYTES * responseTokens;
}

function largestModuleBytes({ config, head }: SizedModel, dtype: FloatDType): number {
  const sizes = [...modelModules(config, head).values()].map((module) =>
    parameterGroupsOf([module])
      .flat()
      .reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  );
  return Math.max(...sizes) * bytesPerElement(dtype);
}
