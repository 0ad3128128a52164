/** Plans of training: the config, cut once into a slice for each part of the trainer. No part below reads it itself. */
import { join } from 'node:path';
import { needsCritic } from '../../src/algorithms/advantage.ts';
import { promptsOfShares } from '../../src/config/curriculum.ts';
import { sourceList, type DataSources } from '../../src/config/names.ts';
import { learnerCount, trainingSteps, validationSampling } from '../../src/config/derive.ts';
import { Config } from '../../src/config/schema.ts';
import type { Sampling } from '../../src/config/rollout-schema.ts';
import { CxmindError, messageOf } from '../../src/errors.ts';
import { grammarAutomaton } from '../../src/generation/grammar/grammars.ts';
import { grammarSource } from '../../src/generation/response-controls.ts';
import type { DataProps } from '../data/actor.ts';
import { devicesOf } from './this-machine.ts';
import {
  correctionSettings,
  criticModel,
  criticSettings,
  dataSettings,
  episodeSettings,
  explorationSettings,
  learnerSettings,
  microBatch,
  policyModel,
  referenceModel,
  rewardPlans,
  tokenizerPathOf,
} from './settings.ts';

/** A run, decided: one slice of the config for each part of the trainer. */
export type RunPlan = ReturnType<typeof planRun>;
export type PlacementPlan = RunPlan['placement'];
export type PolicyPlan = RunPlan['policy'];
export type CriticPlan = NonNullable<RunPlan['critic']>;
export type TaskPlan = RunPlan['task'];
export type StepPlan = RunPlan['step'];
/** Supervised training, decided. */
export type SupervisedPlan = ReturnType<typeof planSupervised>;

/** An earlier stage of a curriculum that goes on. */
export interface MixedStage {
  readonly name: string;
  /** Share of every step's prompts, in (0, 1). */
  readonly share: number;
  /** The stage's own config, of which `data` and `worker.reward` count. */
  readonly config: Config;
}

/**
 * Plans a run of reinforcement learning.
 *
 * @param config as this machine runs it: its models are directories, and its device is chosen
 * @param note   called with a line on a gate that the scores of a reward file bring about
 * @throws CONFIG_INVALID for a gate without the parts that it needs, or structured outputs that cannot be followed
 */
export function planRun(
  config: Config,
  mix: readonly MixedStage[] = [],
  note?: (line: string) => void,
) {
  const { algorithm, data, trainer, worker } = config;
  const batchSize = data.miniRolloutBatchSize ?? data.rolloutBatchSize;
  const shares = promptsOfShares(
    mix.map(({ share }) => share),
    batchSize,
  );
  const files = {
    trainFiles: trainer.valOnly ? null : data.trainFiles,
    validationFiles: filesOf(data.valFiles),
    batchSize: shares.reduce((rest, share) => rest - share, batchSize),
  };
  return {
    ...planTraining(config),
    /** The run's own folder. */
    folder:
      trainer.saveCheckpointPath ?? `checkpoints/${trainer.projectName}/${trainer.experimentName}`,
    /** Steps of a run over so many training prompts. */
    stepsOver: (prompts: number) => trainingSteps(config, prompts),
    /** The value model and how it is trained; null unless advantages are estimated from values. */
    critic: needsCritic(algorithm.advEstimator)
      ? { model: criticModel(config), settings: criticSettings(config) }
      : null,
    /** The copy of the policy as training began, and how it scores; null where KL is off. */
    reference: algorithm.disableKl
      ? null
      : {
          model: referenceModel(config),
          /** True where it moves towards the policy. */
          moves: worker.ref.syncRefModel,
          microBatch: microBatch(config, worker.actor, 'experience'),
        },
    rollout: {
      engine: {
        maxPrefillTokens: worker.rollout.maxNumBatchedTokens,
        memoryShare: worker.rollout.gpuMemoryUtilization,
      },
      tokenizerPath: tokenizerPathOf(config),
      episodes: episodeSettings(config),
    },
    /** The run's own prompts and reward. */
    task: planTask(config, files, null, note),
    /** Tasks of earlier stages that go on. */
    replays: mix.map((stage, i) => planReplay(config, stage, shares[i]!)),
    step: planStep(config),
    validation: {
      ...planResponses(config),
      sampling: followed(validationSampling(worker.rollout), 'worker.rollout.val_override_config'),
      /** Prompts at a time; -1 is all. */
      batchSize: data.valBatchSize,
    },
  };
}

/** The batch of a step, its advantages and its updates. */
function planStep(config: Config) {
  const { algorithm, data, trainer, worker } = config;
  const { n } = worker.rollout;
  return {
    ...planResponses(config),
    algorithm,
    correction: correctionSettings(config),
    /** Updates that a batch's weights may be behind those it is trained on. */
    maxStaleness: trainer.maxStaleness,
    exploration: explorationSettings(config),
    /** The fate of the cache when new weights reach responses; null where none do before these are complete. */
    partialRollout: trainer.partialRollout === 'off' ? null : trainer.partialRollout,
    /** Prompts of a step, P. */
    prompts: data.rolloutBatchSize,
    seed: trainer.seed,
    /** Generation rounds that a step may take to fill its batch; 0 or less sets no limit. */
    maxRounds: trainer.maxTryMakeBatch,
    /** The first step that updates the policy. */
    criticWarmup: trainer.criticWarmup,
    policy: planUpdate(worker.actor, n),
    critic: planUpdate(worker.critic, n),
    /** Share of the policy that the reference is mixed with, and the steps between; null where it stays. */
    referenceSync: worker.ref.syncRefModel
      ? { alpha: worker.ref.refModelMixupAlpha, steps: worker.ref.refModelSyncSteps }
      : null,
  };
}

/** The responses of a step or a validation. */
function planResponses({ data, worker: { rollout, reward } }: Config) {
  return {
    /** Among others `n`, the responses to each prompt. */
    sampling: followed<Sampling>(rollout, 'worker.rollout'),
    maxPromptLength: data.maxPromptLength,
    maxResponseLength: data.maxResponseLength,
    /** True where responses may be left out and counted: what cannot be scored, or what an environment broke off. */
    skipsInvalid: reward.invalidResponses === 'skip' || rollout.multiTurn.enable,
  };
}

/**
 * A sampling whose structured outputs can be followed.
 *
 * @throws CONFIG_INVALID naming the key of those that cannot
 */
function followed<S extends Sampling>(sampling: S, section: string): S {
  const { structuredOutputs } = sampling;
  const source = grammarSource(structuredOutputs);
  if (source === null) return sampling;
  try {
    grammarAutomaton(source);
  } catch (error) {
    const key = structuredOutputs.json === null ? 'regex' : 'json';
    const path = `${section}.structured_outputs.${key}`;
    throw new CxmindError('CONFIG_INVALID', `${path}: ${messageOf(error)}`, { cause: error });
  }
  return sampling;
}

/** Plans supervised training; `config` as in `planRun`. */
export function planSupervised(config: Config) {
  const { sft, data, trainer } = config;
  return {
    ...planTraining(config),
    folder: sft.saveCheckpointPath ?? join(trainer.saveCheckpointPath ?? '.', 'sft'),
    sft,
    /** The environment whose tools the prompts show, as they do in the stage after this one. */
    episodes: episodeSettings(config),
    task: planData(config, {
      trainFiles: sft.trainFiles ?? data.trainFiles,
      validationFiles: filesOf(sft.valFiles ?? []),
      batchSize: sft.batchSize,
    }),
  };
}

/** The part of a plan that any training of the policy has. */
function planTraining(config: Config) {
  const { trainer, worker, transport } = config;
  return {
    /** The whole config in YAML spelling, to be written down and compared with an earlier run's. */
    config: Config.encode(config),
    trainer,
    /** The number of actors of each role, and the devices that models may be on. */
    placement: {
      /** Hosts that train at least. */
      hosts: trainer.nnodes,
      learners: learnerCount(config),
      /** Null is one on each host. */
      rollouts: worker.rollout.numWorkers,
      /** Null is one on each host. */
      rewards: worker.reward.numWorkers,
      /** The devices of each host, and the config's name for them. */
      devices: devicesOf(trainer),
      deviceChoice: trainer.device,
    },
    /** The policy and how its learners train it. */
    policy: {
      model: policyModel(config),
      settings: learnerSettings(config),
      collectives: transport.collectives,
    },
  };
}

type DataFiles = Pick<DataProps, 'trainFiles' | 'validationFiles' | 'batchSize'>;

/** @param name of the stage; null for the run's own */
function planTask(
  config: Config,
  files: DataFiles,
  name: string | null,
  note?: (line: string) => void,
) {
  return {
    ...planData(config, files, name),
    rewards: rewardPlans(config, note),
  };
}

function planData(config: Config, files: DataFiles, name: string | null = null) {
  return {
    name,
    data: { ...dataSettings(config), ...files },
    /** Threads that decode images and videos; null is one for two cores. */
    pixelReaders: config.data.numWorkers,
  };
}

/** Plans the task of an earlier stage, whose prompts and responses are as long as those of this one. */
function planReplay(config: Config, stage: MixedStage, batchSize: number) {
  const { maxPromptLength, maxResponseLength } = config.data;
  const data = { ...stage.config.data, maxPromptLength, maxResponseLength };
  const worker = { ...config.worker, reward: stage.config.worker.reward };
  const files = { trainFiles: data.trainFiles, validationFiles: null, batchSize };
  return planTask({ ...config, data, worker }, files, stage.name);
}

/** The files of a data set, or null where there are none. */
function filesOf(sources: DataSources): DataSources | null {
  return sourceList(sources).length === 0 ? null : sources;
}

/** The updates of one model in a step. */
function planUpdate(trained: Config['worker']['actor'] | Config['worker']['critic'], n: number) {
  const { globalBatchSize, ppoEpochs: epochs, optim } = trained;
  return {
    /** Samples of an optimizer step, over all learners. */
    miniBatchSize: globalBatchSize * n,
    epochs,
    optim,
  };
}
