import { join } from 'node:path';
import { promptsOfShares } from '../../src/config/curriculum.ts';
import { sourceList, type DataSources } from '../../src/config/data-source.ts';
import { learnerCount, trainingSteps, validationSampling } from '../../src/config/derive.ts';
import { Config, type Algorithm, type Sft, type Trainer, type Transport } from '../../src/config/schema.ts';
import type { Sampling } from '../../src/config/worker-schema.ts';
import type { DeviceName } from '../../src/device/open.ts';
import { rewardChoice } from '../../src/reward/configured.ts';
import type { GateChoice } from '../../src/reward/gate.ts';
import type { DataProps } from '../data/actor.ts';
import type { ReferenceProps } from '../reference/actor.ts';
import type { RewardProps } from '../reward/actor.ts';
import { devicesOf } from './device.ts';
import {
  criticModel,
  criticSettings,
  dataSettings,
  engineSettings,
  learnerSettings,
  policyModel,
  referenceModel,
  referenceSettings,
  rewardSettings,
  tokenizerPathOf,
  type ComputeSettings,
  type CriticSettings,
  type EngineSettings,
  type LearnerSettings,
  type ModelSettings,
} from './settings.ts';

/**
 * A run, decided: the config cut into one slice for each part of the trainer.
 *
 * `planRun` is the only reader of a run's `Config`. Below it each part takes its slice, so its types say on which keys it
 * depends.
 */
export interface RunPlan {
  /** The run's own folder. */
  readonly folder: string;
  /** The whole config in YAML spelling, to be written down and compared with an earlier run's. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly placement: PlacementPlan;
  readonly policy: PolicyPlan;
  /** Null unless advantages are estimated from values. */
  readonly critic: CriticPlan | null;
  /** Null where KL is off. */
  readonly reference: ReferencePlan | null;
  readonly rollout: RolloutPlan;
  readonly task: TaskPlan;
  /** Tasks of earlier stages of a curriculum that go on, each with its share of every step's prompts. */
  readonly replays: readonly TaskPlan[];
  readonly step: StepPlan;
  readonly validation: ValidationPlan;
  readonly loop: LoopPlan;
  readonly tracking: TrackingPlan;
}

/** The number of actors of each role, and the devices that models may be on. */
export interface PlacementPlan {
  /** Hosts that train at least. */
  readonly hosts: number;
  readonly learners: number;
  /** Null is one on each host. */
  readonly rollouts: number | null;
  /** Null is one on each host. */
  readonly rewards: number | null;
  /** The devices of each host, and the config's name for them. */
  readonly devices: readonly DeviceName[];
  readonly deviceChoice: string;
}

/** The policy's model, and how its learners train it. */
export interface PolicyPlan {
  readonly model: ModelSettings;
  readonly settings: LearnerSettings;
  readonly collectives: Transport['collectives'];
}

/** The value model, and how critics train it. */
export interface CriticPlan {
  readonly model: ModelSettings;
  readonly settings: CriticSettings;
}

/** The frozen copy of the policy, and how it is scored with. */
export interface ReferencePlan extends Omit<ReferenceProps, 'model'> {
  readonly model: ComputeSettings;
}

/** The engine of a rollout actor, and the directory whose tokenizer says which tokens end a response. */
export interface RolloutPlan {
  readonly engine: EngineSettings;
  readonly tokenizerPath: string;
}

/** Prompts and the reward of their responses. */
export interface TaskPlan {
  /** The stage's name; null for the run's own. */
  readonly name: string | null;
  readonly data: Omit<DataProps, 'model' | 'pixelReaders'>;
  /** Threads that decode images and videos; null is one for two cores. */
  readonly pixelReaders: number | null;
  readonly reward: RewardProps;
  readonly gate: GateChoice | undefined;
}

/** The batch of a step, its advantages and its updates. */
export interface StepPlan {
  readonly algorithm: Algorithm;
  readonly batch: BatchPlan;
  readonly policy: UpdatePlan;
  readonly critic: UpdatePlan;
  /** The first step that updates the policy. */
  readonly criticWarmup: number;
  /** Divides the logits of every log-probability. */
  readonly temperature: number;
}

/** The prompts and responses of a step. */
export interface BatchPlan extends Lengths {
  /** Prompts of a step, P. */
  readonly prompts: number;
  /** Among others `n`, the responses to each prompt. */
  readonly sampling: Sampling;
  readonly seed: number;
  /** Generation rounds that a step may take to fill its batch; 0 or less sets no limit. */
  readonly maxRounds: number;
  /** Whether responses that cannot be scored are left out and counted, instead of ending the run. */
  readonly skipsInvalid: boolean;
}

/** The longest prompt and the longest response, in tokens. */
export interface Lengths {
  readonly maxPromptLength: number;
  readonly maxResponseLength: number;
}

/** The updates of one model in a step. */
export interface UpdatePlan {
  /** Samples of an optimizer step, over all learners. */
  readonly miniBatchSize: number;
  readonly epochs: number;
  readonly optim: Config['worker']['actor']['optim'];
}

/** A pass over the validation set. */
export interface ValidationPlan extends Lengths, Pick<BatchPlan, 'sampling' | 'skipsInvalid'> {
  /** Prompts at a time; -1 is all. */
  readonly batchSize: number;
}

/** The length of a run, and what happens between its steps; keys of `trainer` have the config's names. */
export interface LoopPlan extends Pick<
  Trainer,
  | ('valOnly' | 'valBeforeTrain' | 'valFreq' | 'valGenerationsToLog' | 'bestMetric')
  | ('saveFreq' | 'saveLimit' | 'saveModelOnly' | 'loadCheckpointPath' | 'findLastCheckpoint')
  | ('rayTimeline' | 'profile')
> {
  /** Steps of a run over so many training prompts. */
  readonly stepsOver: (prompts: number) => number;
}

/** The loggers of a run, under the config's names. */
export type TrackingPlan = Pick<
  Trainer,
  'logger' | 'consoleForm' | 'projectName' | 'experimentName' | 'valOnly'
>;

/** Supervised training on reference answers, decided. */
export interface SupervisedPlan extends Pick<
  RunPlan,
  'folder' | 'config' | 'placement' | 'policy' | 'tracking'
> {
  readonly task: Pick<TaskPlan, 'name' | 'data' | 'pixelReaders'>;
  readonly sft: Sft;
}

/** An earlier stage of a curriculum that goes on. */
export interface MixedStage {
  readonly name: string;
  /** Its share of every step's prompts, in (0, 1). */
  readonly share: number;
  /** The stage's own config, of which `data` and `worker.reward` count. */
  readonly config: Config;
}

/**
 * Plans a run of reinforcement learning.
 *
 * @param config as this machine runs it: its models are directories, and its device is chosen
 * @param note   hears of a gate that the scores of a reward file bring about
 * @throws CONFIG_INVALID for a gate without the parts that it needs
 */
export function planRun(
  config: Config,
  mix: readonly MixedStage[] = [],
  note?: (line: string) => void,
): RunPlan {
  const { algorithm, data, trainer } = config;
  const { actor, critic, rollout, reward } = config.worker;
  const { maxPromptLength, maxResponseLength } = data;
  const lengths = { maxPromptLength, maxResponseLength };
  const skipsInvalid = reward.invalidResponses === 'skip';
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
    folder: folderOf(trainer),
    config: Config.encode(config),
    placement: planPlacement(config),
    policy: planPolicy(config),
    critic:
      algorithm.advEstimator === 'gae'
        ? { model: criticModel(config), settings: criticSettings(config) }
        : null,
    reference: algorithm.disableKl
      ? null
      : { model: referenceModel(config), ...referenceSettings(config) },
    rollout: { engine: engineSettings(config), tokenizerPath: tokenizerPathOf(config) },
    task: planTask(config, null, files, note),
    replays: mix.map((stage, i) => planReplay(config, stage, shares[i]!)),
    step: {
      algorithm,
      batch: {
        ...lengths,
        prompts: data.rolloutBatchSize,
        sampling: rollout,
        seed: trainer.seed,
        maxRounds: trainer.maxTryMakeBatch,
        skipsInvalid,
      },
      policy: planUpdate(actor, rollout.n),
      critic: planUpdate(critic, rollout.n),
      criticWarmup: trainer.criticWarmup,
      temperature: rollout.temperature,
    },
    validation: {
      ...lengths,
      sampling: validationSampling(rollout),
      batchSize: data.valBatchSize,
      skipsInvalid,
    },
    loop: { ...trainer, stepsOver: (prompts) => trainingSteps(config, prompts) },
    tracking: trainer,
  };
}

/** Plans supervised training; `config` as in `planRun`. */
export function planSupervised(config: Config): SupervisedPlan {
  const { sft, data, trainer } = config;
  const files = {
    trainFiles: sft.trainFiles ?? data.trainFiles,
    validationFiles: filesOf(sft.valFiles ?? []),
    batchSize: sft.batchSize,
  };
  return {
    folder: sft.saveCheckpointPath ?? join(trainer.saveCheckpointPath ?? '.', 'sft'),
    config: Config.encode(config),
    placement: planPlacement(config),
    policy: planPolicy(config),
    tracking: trainer,
    task: planData(config, null, files),
    sft,
  };
}

function planPlacement(config: Config): PlacementPlan {
  const { trainer, worker } = config;
  return {
    hosts: trainer.nnodes,
    learners: learnerCount(config),
    rollouts: worker.rollout.numWorkers,
    rewards: worker.reward.numWorkers,
    devices: devicesOf(trainer),
    deviceChoice: trainer.device,
  };
}

function planPolicy(config: Config): PolicyPlan {
  const { collectives } = config.transport;
  return { model: policyModel(config), settings: learnerSettings(config), collectives };
}

function folderOf({ saveCheckpointPath, projectName, experimentName }: Trainer): string {
  return saveCheckpointPath ?? `checkpoints/${projectName}/${experimentName}`;
}

/** The files of a data set, or null where there are none. */
function filesOf(sources: DataSources): DataSources | null {
  return sourceList(sources).length === 0 ? null : sources;
}

type DataFiles = Pick<DataProps, 'trainFiles' | 'validationFiles' | 'batchSize'>;

function planTask(
  config: Config,
  name: string | null,
  files: DataFiles,
  note?: (line: string) => void,
): TaskPlan {
  return {
    ...planData(config, name, files),
    reward: rewardSettings(config),
    gate: rewardChoice(config.worker.reward, note).gate,
  };
}

function planData(
  config: Config,
  name: string | null,
  files: DataFiles,
): Pick<TaskPlan, 'name' | 'data' | 'pixelReaders'> {
  const data = { ...dataSettings(config), ...files };
  return { name, data, pixelReaders: config.data.numWorkers };
}

/** Plans the task of an earlier stage, whose prompts and responses are as long as those of this one. */
function planReplay(config: Config, stage: MixedStage, batchSize: number): TaskPlan {
  const { maxPromptLength, maxResponseLength } = config.data;
  const data = { ...stage.config.data, maxPromptLength, maxResponseLength };
  const worker = { ...config.worker, reward: stage.config.worker.reward };
  const files = { trainFiles: data.trainFiles, validationFiles: null, batchSize };
  return planTask({ ...config, data, worker }, stage.name, files);
}

function planUpdate(
  trained: Config['worker']['actor'] | Config['worker']['critic'],
  n: number,
): UpdatePlan {
  const { globalBatchSize, ppoEpochs, optim } = trained;
  return { miniBatchSize: globalBatchSize * n, epochs: ppoEpochs, optim };
}
