/**
 * The part of each actor's props that is known before a model is loaded, read from the config for `planRun`.
 */
import { resolve } from 'node:path';
import type { KlKind } from '../../src/algorithms/kl.ts';
import type { LossAverageOptions } from '../../src/algorithms/loss-average.ts';
import { rejectionsOf } from '../../src/algorithms/rejection.ts';
import { policyLosses } from '../../src/algorithms/policy-losses.ts';
import { learnerCount } from '../../src/config/derive.ts';
import { floatDTypeOf } from '../../src/config/compute.ts';
import { rewardFileOf } from '../../src/config/names.ts';
import type { Config } from '../../src/config/schema.ts';
import { rewardChoices, type RewardChoice } from '../../src/reward/configured.ts';
import type { GateChoice } from '../../src/reward/gate.ts';
import type { Weighted } from '../../src/reward/mixture.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import type { ExplorationOptions } from '../../src/training/exploration.ts';
import type { StepCorrectionOptions } from '../../src/training/correction.ts';
import type { CriticProps } from '../critic/actor.ts';
import type { JudgeProps } from '../judge/actor.ts';
import type { LearnerProps } from '../learner/actor.ts';
import type { RewardProps } from '../reward/actor.ts';
import type { RewardModelProps } from '../reward-model/actor.ts';
import type { EpisodeProps } from '../rollout/actor.ts';
import { devicesOf } from './this-machine.ts';

/** A section of the config whose model is trained. */
type Trained = Config['worker']['actor'] | Config['worker']['critic'];

/** The devices and the dtype that a model's programs compute in, and the place of its weights. */
export type ComputeSettings = ReturnType<typeof computeSettings>;
/** A model to load, and the part of it that is trained. */
export type ModelSettings = ReturnType<typeof policyModel>;

/** The policy's model. Where no dtype is named, the processor computes in f32 and a card in bf16. */
export function policyModel(config: Config) {
  const { actor } = config.worker;
  return {
    ...modelSettings(config, actor),
    /** Hugging Face directory. */
    path: modelPathOf(config),
    /** Adapters to train instead of the weights; null where weights are trained. */
    lora: actor.model.lora.rank > 0 ? actor.model.lora : null,
  };
}

/** The value model, which begins as the policy unless it has a path of its own. */
export function criticModel(config: Config): ModelSettings {
  const { critic } = config.worker;
  const path = resolve(critic.model.modelPath ?? modelPathOf(config));
  return { ...modelSettings(config, critic), path, lora: null };
}

/** The reference's model, in the policy's dtype unless it has one of its own. */
export function referenceModel(config: Config) {
  const { ref, actor } = config.worker;
  return computeSettings(config, ref, computeSettings(config, actor).computeDType);
}

/** The directory of the tokenizer, the chat template and the image processor. */
export function tokenizerPathOf(config: Config): string {
  return config.worker.actor.model.tokenizerPath ?? modelPathOf(config);
}

/** Settings of the data actor: keys of `data` under their names in the config, and others that make prompts. */
export function dataSettings(config: Config) {
  const { data, trainer, worker } = config;
  const isKept = trainer.rolloutDataDir !== null || trainer.validationDataDir !== null;
  return {
    ...data,
    tokenizerPath: tokenizerPathOf(config),
    limitImages: worker.rollout.limitImages,
    withImages:
      worker.rollout.multiTurn.enable ||
      isKept ||
      worker.reward.rewardFunctions.some(({ rewardModel }) => rewardModel !== null),
    filterConcurrency: data.filterOverlongPromptsWorkers,
  };
}

/** Settings of the learners, which score and train the policy. */
export function learnerSettings(
  config: Config,
): TrainedSettings & Pick<LearnerProps, 'loss' | 'supervisedMicroBatch' | 'temperature'> {
  const { actor, rollout } = config.worker;
  const { lossType, tauPositive, tauNegative } = actor;
  const { clipRatioLow, clipRatioHigh, clipRatioDual } = actor;
  const { useKlLoss, disableKl, klPenalty, klCoef } = config.algorithm;
  const { clipCovRatio, clipCovLb, clipCovUb, klCovRatio, ppoKlCoef } = actor;
  const covariance = { clipCovRatio, clipCovLb, clipCovUb, klCovRatio, ppoKlCoef };
  const { vespoKPos, vespoLambdaPos, vespoKNeg, vespoLambdaNeg } = actor;
  const clip = { clipRatioLow, clipRatioHigh, clipRatioDual };
  const soft = { tauPositive, tauNegative, vespoKPos, vespoLambdaPos, vespoKNeg, vespoLambdaNeg };
  const kl = { useKlLoss: useKlLoss && !disableKl, klPenalty: klKindOf(klPenalty), klCoef };
  return {
    ...trainedSettings(config, actor),
    loss: { lossType, ...averaging(config, actor), ...clip, ...soft, ...covariance, ...kl },
    supervisedMicroBatch: { size: config.sft.microBatchSize, dynamic: actor.dynamicBatching },
    temperature: rollout.temperature,
  };
}

/** Settings of the critics, which value responses and train. */
export function criticSettings(config: Config): TrainedSettings & Pick<CriticProps, 'loss'> {
  const { critic } = config.worker;
  const { cliprangeValue } = critic;
  const loss = { cliprangeValue, ...averaging(config, critic) };
  return { ...trainedSettings(config, critic), loss };
}

/** The average of token losses. Where no factor is given, a sequence's sum is divided by the length that it may have. */
function averaging(
  { data }: Config,
  { lossAvgMode, lossScaleFactor }: Trained,
): LossAverageOptions {
  return { lossAvgMode, lossScaleFactor: lossScaleFactor ?? data.maxResponseLength };
}

/** Settings of the episodes of rollouts; null where responses have one turn. */
export function episodeSettings(config: Config): EpisodeProps | null {
  const { data, worker } = config;
  const { multiTurn } = worker.rollout;
  if (!multiTurn.enable) return null;
  const { maxAssistantTurns, maxUserTurns, environment } = multiTurn;
  const source = environment === null ? null : rewardFileOf(environment)!;
  const { overrideChatTemplate, applyChatTemplateKwargs, window } = data;
  const { minPixels, maxPixels, videoFps } = data;
  return {
    environment: {
      ...multiTurn,
      user: source && {
        ...{ source, kwargs: multiTurn.environmentKwargs, python: multiTurn.python },
        workers: multiTurn.numWorkers,
        limitMs: multiTurn.timeoutSeconds * 1000,
      },
      servers: worker.rollout.mcpServers,
    },
    limits: { maxAssistantTurns, maxUserTurns },
    chat: {
      tokenizerPath: tokenizerPathOf(config),
      ...{ overrideChatTemplate, applyChatTemplateKwargs, minPixels, maxPixels, videoFps, window },
    },
  };
}

/** Kind of a reward's actors, and their props. */
type RewardSource =
  | { readonly kind: 'function'; readonly props: RewardProps }
  | { readonly kind: 'judge'; readonly props: JudgeProps }
  | { readonly kind: 'model'; readonly props: RewardModelProps };

/** A reward of a run, and the settings of its actors. */
export interface RewardPlan extends Weighted {
  readonly gate: GateChoice | undefined;
  readonly source: RewardSource;
}

/**
 * The rewards of a run.
 *
 * @param note called with a line on a gate that the scores of a reward file bring about
 * @throws CONFIG_INVALID for a gate without the parts that it needs, and for several gates
 */
export function rewardPlans(config: Config, note?: (line: string) => void): RewardPlan[] {
  const { reward } = config.worker;
  const { skipSpecialTokens } = reward;
  const tokenizerPath = tokenizerPathOf(config);
  const skipsInvalid = reward.invalidResponses === 'skip';
  const file = {
    rewardType: reward.rewardType,
    limitMs: reward.timeoutSeconds * 1000,
    skipsInvalid,
    python: reward.python,
    cpus: reward.numCpus,
  };
  const ofFunction = ({ name, weight, gate, spec, kwargs }: RewardChoice): RewardPlan => {
    const props = { tokenizerPath, skipSpecialTokens, file, rewardFunction: spec, kwargs };
    return { name, weight, gate, source: { kind: 'function', props } };
  };
  const functions = rewardChoices(reward, note);
  if (reward.rewardFunctions.length === 0) return functions.map(ofFunction);
  // Sums of floats follow the order of the list.
  return reward.rewardFunctions.map(({ name, weight, judge, rewardModel }): RewardPlan => {
    const choice = functions.find((one) => one.name === name);
    if (choice !== undefined) return ofFunction(choice);
    const judged = { name, tokenizerPath, skipSpecialTokens, skipsInvalid, judge: judge! };
    const source: RewardSource =
      rewardModel === null
        ? { kind: 'judge', props: judged }
        : { kind: 'model', props: rewardModelProps(config, rewardModel.modelPath) };
    return { name, weight, gate: undefined, source };
  });
}

/** Props of a reward model, which computes on the last device, as the reference does. */
function rewardModelProps(config: Config, modelPath: string): RewardModelProps {
  const { devices, computeDType, threads } = referenceModel(config);
  const { minPixels, maxPixels, window } = config.data;
  return {
    media: { minPixels, maxPixels, window },
    ...{ modelPath, tokenizerPath: tokenizerPathOf(config), computeDType, threads },
    device: devices.at(-1)!,
    microBatchSize: config.worker.actor.microBatchSizePerDeviceForExperience,
  };
}

/** The KL estimator of a config's `kl_penalty`; `full` is refused where the config is read. */
export function klKindOf(klPenalty: Config['algorithm']['klPenalty']): KlKind {
  return klPenalty === 'full' ? 'kl' : klPenalty;
}

/** The checkpoint directory that training starts from. */
function modelPathOf(config: Config): string {
  return resolve(config.worker.actor.model.modelPath ?? '.');
}

function modelSettings(config: Config, trained: Trained) {
  const { freezeVisionTower, overrideConfig } = trained.model;
  return {
    ...computeSettings(config, trained),
    /** Keys laid over the checkpoint's config. */
    overrides: overrideConfig,
    freezeVisionTower,
    /** Learners that the trained weights are divided among. */
    learners: learnerCount(config),
    seed: config.trainer.seed,
  };
}

/** @param usual dtype where the section names none */
function computeSettings(
  { trainer }: Config,
  { fsdp, offload }: Pick<Config['worker']['ref'], 'fsdp' | 'offload'>,
  usual?: FloatDType,
) {
  const devices = devicesOf(trainer);
  const best = usual ?? (devices[0] === 'cpu' ? 'f32' : 'bf16');
  return {
    /** Devices of a host; each actor computes on one of them. */
    devices,
    /** Dtype of the programs. They work on a copy of the weights unless it is f32 on the processor. */
    computeDType: fsdp.mpParamDtype === null ? best : floatDTypeOf(fsdp.mpParamDtype),
    /** True where weights lie outside the memory that programs compute in while these do not need them. */
    isOffloaded: fsdp.enableCpuOffload || offload.offloadParams,
    /** Dtype whose numbers trained weights are rounded to after each step, and the reference's once. */
    storage: floatDTypeOf(fsdp.torchDtype),
    /** Compute threads of each process; null is one per core. */
    threads: trainer.threads,
  };
}

type TrainedSettings = ReturnType<typeof trainedSettings>;

function trainedSettings(config: Config, trained: Trained) {
  return {
    gradientCheckpointing: trained.model.enableGradientCheckpointing,
    optimization: optimizationOf(trained),
    updateMicroBatch: microBatch(config, trained, 'update'),
    experienceMicroBatch: microBatch(config, trained, 'experience'),
    epochs: trained.ppoEpochs,
  };
}

function optimizationOf({ optim, fsdp, offload, maxGradNorm }: Trained) {
  const { betas, weightDecay, strategy } = optim;
  return {
    betas: [betas[0], betas[1]] as const,
    weightDecay,
    maxGradNorm,
    strategy,
    storage: floatDTypeOf(fsdp.torchDtype),
    reduction: floatDTypeOf(fsdp.mpReduceDtype),
    offloadsState: offload.offloadOptimizer,
  };
}

/** Micro-batches of a model, for updates or for scoring. */
export function microBatch({ data }: Config, trained: Trained, use: 'update' | 'experience') {
  return {
    size:
      use === 'update'
        ? trained.microBatchSizePerDeviceForUpdate
        : trained.microBatchSizePerDeviceForExperience,
    dynamic: trained.dynamicBatching,
    maxTokens: data.maxPromptLength + data.maxResponseLength,
  };
}

/** The settings of the policy's entropy in a step. */
export function explorationSettings({ algorithm, worker: { actor } }: Config): ExplorationOptions {
  const { calculateEntropy, entropyCoeff, useAdaptiveEntropy } = actor;
  const { entropyTarget: target, entropyCoeffDelta: delta } = actor;
  const { entropyCoeffMin: min, entropyCoeffMax: max } = actor;
  return {
    calculateEntropy,
    entropyCoeff,
    control: useAdaptiveEntropy ? { target, delta, min, max } : null,
    topEntropyQuantile: algorithm.topEntropyQuantile,
  };
}

/**
 * The settings of the correction, by `algorithm.rollout_correction`. Where rollouts run ahead, each token has a weight of
 * its own, or the responses have one if the loss takes no others.
 */
export function correctionSettings({
  algorithm: { rolloutCorrection },
  trainer: { maxStaleness },
  worker: { actor },
}: Config): StepCorrectionOptions {
  const { rolloutIs, rolloutRs, rolloutRsThreshold, ...importance } = rolloutCorrection;
  const { weightLevels, weightsMultiply } = policyLosses[actor.lossType];
  const [usual = null] = maxStaleness > 0 ? weightLevels : [];
  return {
    ...importance,
    weightsMultiply,
    rolloutIs: rolloutIs === 'auto' ? usual : rolloutIs,
    rolloutRs: rejectionsOf(rolloutRs, rolloutRsThreshold),
  };
}
