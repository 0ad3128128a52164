import type { KlKind } from '../../src/algorithms/kl.ts';
import { floatDTypeOf } from '../../src/config/precision.ts';
import type { Config } from '../../src/config/schema.ts';
import type { EngineOptions } from '../../src/generation/request.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import { rewardChoice } from '../../src/reward/configured.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import type { OptimizationOptions } from '../../src/training/optimization.ts';
import type { CriticProps } from '../critic/actor.ts';
import type { DataProps } from '../data/actor.ts';
import type { LearnerProps } from '../learner/actor.ts';
import type { ReferenceProps } from '../reference/actor.ts';
import type { RewardProps } from '../reward/actor.ts';
import { modelPathOf } from './policy.ts';

/** The policy or the critic, as the config has it. */
type Trained = Config['worker']['actor'] | Config['worker']['critic'];

/** Where tokens, chat template and image processor come from. */
export function tokenizerPathOf(config: Config): string {
  return config.worker.actor.model.tokenizerPath ?? modelPathOf(config);
}

/** How rows become prompts of a model, and which of them in which order. */
export function dataSettings(
  config: Config,
  model: ModelConfig,
): Omit<DataProps, 'trainFiles' | 'validationFiles' | 'batchSize' | 'pixelReaders'> {
  const { data } = config;
  return {
    model,
    tokenizerPath: tokenizerPathOf(config),
    promptKey: data.promptKey,
    answerKey: data.answerKey,
    imageKey: data.imageKey,
    videoKey: data.videoKey,
    imageDir: data.imageDir,
    formatPrompt: data.formatPrompt,
    overrideChatTemplate: data.overrideChatTemplate,
    minPixels: data.minPixels,
    maxPixels: data.maxPixels,
    bitDepth: data.bitDepth,
    videoFps: data.videoFps,
    limitImages: config.worker.rollout.limitImages,
    maxPromptLength: data.maxPromptLength,
    maxResponseLength: data.maxResponseLength,
    invalidRows: data.invalidRows,
    maxInvalidFraction: data.maxInvalidFraction,
    check: data.check,
    filterOverlongPrompts: data.filterOverlongPrompts,
    filterConcurrency: data.filterOverlongPromptsWorkers,
    shuffle: data.shuffle,
    seed: data.seed,
  };
}

/** How learners score and train the policy. */
export function learnerSettings(
  config: Config,
): TrainedSettings & Pick<LearnerProps, 'loss' | 'imitationMicroBatch' | 'temperature'> {
  const { actor, rollout } = config.worker;
  const { useKlLoss, disableKl, klCoef } = config.algorithm;
  return {
    ...trainedSettings(config, actor),
    loss: {
      lossType: actor.lossType,
      lossAvgMode: actor.lossAvgMode,
      clipRatioLow: actor.clipRatioLow,
      clipRatioHigh: actor.clipRatioHigh,
      clipRatioDual: actor.clipRatioDual,
      tauPositive: actor.tauPositive,
      tauNegative: actor.tauNegative,
      useKlLoss: useKlLoss && !disableKl,
      klPenalty: klKindOf(config),
      klCoef,
    },
    imitationMicroBatch: { size: config.sft.microBatchSize, dynamic: actor.dynamicBatching },
    temperature: rollout.temperature,
  };
}

/** How critics value and train. */
export function criticSettings(config: Config): TrainedSettings & Pick<CriticProps, 'loss'> {
  const { critic } = config.worker;
  const { cliprangeValue, lossAvgMode } = critic;
  return { ...trainedSettings(config, critic), loss: { cliprangeValue, lossAvgMode } };
}

/** How the reference scores: as the learners do. */
export function referenceSettings(config: Config): Pick<ReferenceProps, 'microBatch'> {
  return { microBatch: microBatch(config, config.worker.actor, 'experience') };
}

/** What a rollout actor's engine may use. */
export function engineSettings(config: Config, { tokens }: ModelConfig): EngineOptions {
  return {
    maxPrefillTokens: config.worker.rollout.maxNumBatchedTokens,
    memoryShare: config.worker.rollout.gpuMemoryUtilization,
    bannedTokens: tokens === null ? [] : [tokens.imagePad, tokens.videoPad],
  };
}

/** How responses are scored. */
export function rewardSettings(config: Config): RewardProps {
  const { reward } = config.worker;
  const { spec, kwargs } = rewardChoice(reward);
  return {
    tokenizerPath: tokenizerPathOf(config),
    rewardFunction: spec,
    kwargs,
    skipSpecialTokens: reward.skipSpecialTokens,
    file: {
      rewardType: reward.rewardType,
      limitMs: reward.timeoutSeconds * 1000,
      skipsInvalid: reward.invalidResponses === 'skip',
      python: reward.python,
      cpus: reward.numCpus,
    },
  };
}

/** What every model that is trained is told. */
type TrainedSettings = Pick<
  LearnerProps & CriticProps,
  'gradientCheckpointing' | 'optimization' | 'updateMicroBatch' | 'experienceMicroBatch' | 'epochs'
>;

function trainedSettings(config: Config, trained: Trained): TrainedSettings {
  return {
    gradientCheckpointing: trained.model.enableGradientCheckpointing,
    optimization: optimizationOf(trained),
    updateMicroBatch: microBatch(config, trained, 'update'),
    experienceMicroBatch: microBatch(config, trained, 'experience'),
    epochs: trained.ppoEpochs,
  };
}

function optimizationOf({ optim, fsdp, offload, maxGradNorm }: Trained): OptimizationOptions {
  const { betas, weightDecay, strategy } = optim;
  return {
    betas: [betas[0], betas[1]],
    weightDecay,
    maxGradNorm,
    strategy,
    storage: floatDTypeOf(fsdp.torchDtype),
    reduction: floatDTypeOf(fsdp.mpReduceDtype),
    offloadsState: offload.offloadOptimizer,
  };
}

function microBatch(
  { data }: Config,
  trained: Trained,
  use: 'update' | 'experience',
): MicroBatchOptions {
  return {
    size:
      use === 'update'
        ? trained.microBatchSizePerDeviceForUpdate
        : trained.microBatchSizePerDeviceForExperience,
    dynamic: trained.dynamicBatching,
    maxTokens: data.maxPromptLength + data.maxResponseLength,
  };
}

/** The KL estimator; `full` is refused where the config is read. */
export function klKindOf({ algorithm: { klPenalty } }: Pick<Config, 'algorithm'>): KlKind {
  return klPenalty === 'full' ? 'kl' : klPenalty;
}
