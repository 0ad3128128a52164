/** The work and the memory of one step of a run, counted part by part on devices that compute nothing. */
import type { PromptInput } from '../model/pack.ts';
import { modelModules } from '../model/parameters.ts';
import { parameterGroupsOf } from '../model/weights/modules.ts';
import { bytesPerElement, type FloatDType } from '../tensor/dtype.ts';
import { sizeOf } from '../tensor/tensor.ts';
import { patchBytes } from '../tensor/patch-levels.ts';
import { needsEntropies } from '../training/exploration.ts';
import { learnerShares } from '../training/mini-batches.ts';
import { CountedDevice, type DeviceKind, type DeviceMemory } from './counted/device.ts';
import { noWork, timesWork, type Work } from './counted/work.ts';
import { countedGeneration, type CountedGeneration } from './generation.ts';
import type { KeptRun } from './kept.ts';
import { openCounted, scoringWork, updateWork, type CountedModel } from './passes.ts';
import { madeResponses } from './prompts.ts';
import type { PlannedPlaces, PlannedRun } from './settings.ts';
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
  /** P prompts. */
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
  readonly actors: Readonly<Partial<Record<ActorName, DeviceMemory>>>;
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
  const own = learnerShares(samples, learners)[0]!.map((i) => samples[i]!);
  const { settings, model } = run.policy;
  const rollout = new CountedDevice(kind);
  const generation = await countedGeneration(rollout, policy, {
    prompts: prompts.slice(0, Math.ceil(prompts.length / places.rollouts)),
    // ReMax compares with the greedy response to each prompt.
    responses: run.step.algorithm.advEstimator === 'remax' ? n + 1 : n,
    responseTokens,
    longest: run.step.maxPromptLength + run.step.maxResponseLength,
    engine: run.rollout.engine,
    dtype: model.computeDType,
  });
  const trainer = trained(kind, policy, run.policy);
  const withEntropies = needsEntropies(run.step.exploration);
  const old = await scoringWork(trainer, own, settings.experienceMicroBatch, withEntropies);
  const update = await updateWork(trainer, samples, {
    ...{ settings, updates: run.step.policy, learners, dtype: model.computeDType },
    entropyCoeff: run.step.exploration.entropyCoeff,
  });
  const reference = run.reference && scored(kind, policy, run.reference.model.computeDType);
  const ref = reference && (await scoringWork(reference, samples, run.reference.microBatch));
  const valuer = run.critic && critic && trained(kind, critic, run.critic);
  const values =
    valuer && (await scoringWork(valuer, own, run.critic.settings.experienceMicroBatch));
  const updateCritic =
    valuer &&
    (await updateWork(valuer, samples, {
      ...{ settings: run.critic.settings, updates: run.step.critic, learners },
      dtype: run.critic.model.computeDType,
    }));
  return {
    kind,
    work: {
      prefill: timesWork(generation.prefill, rolloutsADevice),
      decode: timesWork(generation.decode, rolloutsADevice),
      old: timesWork(old, learnersADevice),
      ref: ref ?? noWork,
      values: timesWork(values ?? noWork, learnersADevice),
      update_critic: timesWork(updateCritic ?? noWork, learnersADevice),
      update_actor: timesWork(update, learnersADevice),
    },
    actors: {
      rollout: memoryOf(rollout, rolloutsADevice),
      learner: memoryOf(trainer.device, learnersADevice),
      ...(reference !== null && { reference: memoryOf(reference.device, 1) }),
      ...(valuer !== null && { critic: memoryOf(valuer.device, learnersADevice) }),
    },
    places,
    cache: { ...generation, largestModuleBytes: largestModuleBytes(policy, model.computeDType) },
    kept: keptRun(run, { policy, critic }, learners),
    experienceBytes: experienceBytes(prompts, samples.length * responseTokens),
    tokens: samples.reduce(
      (sum, { prompt }) => sum + prompt.tokenIds.data.length + responseTokens,
      0,
    ),
  };
}

/** The memory of as many actors on one device as there are of a role. */
function memoryOf({ memory }: CountedDevice, actors: number): DeviceMemory {
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

/** A trained model on a device of its own. */
function trained(
  kind: DeviceKind,
  sized: SizedModel,
  { model, settings }: PlannedRun['policy'],
): CountedModel {
  const device = new CountedDevice(kind);
  return openCounted(device, sized, model.computeDType, settings.gradientCheckpointing);
}

/** The reference: the policy without its adapters, on a device of its own. */
function scored(kind: DeviceKind, policy: SizedModel, dtype: FloatDType): CountedModel {
  return openCounted(new CountedDevice(kind), { ...policy, adapter: null }, dtype, false);
}

function keptRun(run: PlannedRun, { policy, critic }: RunModels, learners: number): KeptRun {
  const modelOf = (
    name: 'policy' | 'critic',
    { layout, adapter, frozenLength }: SizedModel,
    planned: PlannedRun['policy'],
  ) => ({
    name,
    length: layout.length,
    adapterLength: adapter?.layout.length ?? null,
    frozenLength,
    computeDType: planned.model.computeDType,
    isOffloaded: planned.model.isOffloaded,
    optimization: planned.settings.optimization,
  });
  return {
    policy: modelOf('policy', policy, run.policy),
    critic: critic && run.critic && modelOf('critic', critic, run.critic),
    reference: policy.adapter === null ? (run.reference?.model ?? null) : null,
    learners,
    isAhead: run.step.maxStaleness > 0,
  };
}
