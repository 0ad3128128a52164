import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRight } from 'fp-ts/lib/Either.js';
import { localPath } from '../files.ts';
import { rewardFileOf } from './reward-file.ts';
import type { Config } from './schema.ts';
import { Sampling } from './worker-schema.ts';

/** An existing path made absolute; anything else as it was written. */
function absolute(path: string, cwd: string): string {
  const whole = resolve(cwd, localPath(path));
  return existsSync(whole) ? whole : path;
}

/** Whether `override_chat_template` is the template itself rather than a file's name. */
export function isTemplateText(value: string): boolean {
  return /[{\n]/.test(value);
}

function rewardFile(
  reward: Config['worker']['reward'],
  cwd: string,
): Pick<Config['worker']['reward'], 'rewardFunction' | 'rewardFunctionName'> {
  const { rewardFunction: spec, rewardFunctionName: name } = reward;
  const found = spec === null ? undefined : rewardFileOf(spec, name ?? undefined);
  return found === undefined
    ? { rewardFunction: spec, rewardFunctionName: null }
    : { rewardFunction: absolute(found.file, cwd), rewardFunctionName: found.name };
}

/**
 * Fills in what one section takes from another and makes paths that exist absolute.
 *
 * Deriving twice changes nothing, so the config a run prints can be run again.
 *
 * @param cwd what relative paths are relative to
 * @see spec/config.md, 1.1 and 1.2
 */
export function derive(config: Config, cwd: string): Config {
  const { data, algorithm, trainer, sft } = config;
  const { actor, critic, ref, reward, rollout } = config.worker;
  const { disableKl, useKlLoss, klPenalty, klCoef } = algorithm;
  const path = (value: string | null): string | null => value && absolute(value, cwd);

  const modelPath = path(actor.model.modelPath);
  const template = data.overrideChatTemplate;
  const folder = (value: string): string => resolve(cwd, localPath(value));
  const runFolder = folder(
    trainer.saveCheckpointPath ?? join('checkpoints', trainer.projectName, trainer.experimentName),
  );
  // A value model begins as the policy, unless it is told otherwise; nobody asks where there is none.
  const criticPath =
    path(critic.model.modelPath) ?? (algorithm.advEstimator === 'gae' ? modelPath : null);
  return withBatchesPerDevice({
    data: {
      ...data,
      imageDir: path(data.imageDir),
      formatPrompt: path(data.formatPrompt),
      overrideChatTemplate: template && (isTemplateText(template) ? template : path(template)),
    },
    algorithm,
    worker: {
      ...config.worker,
      actor: {
        ...actor,
        disableKl,
        useKlLoss,
        klPenalty,
        klCoef,
        model: {
          ...actor.model,
          modelPath,
          tokenizerPath: path(actor.model.tokenizerPath) ?? modelPath,
        },
      },
      critic: {
        ...critic,
        model: {
          ...critic.model,
          modelPath: criticPath,
          tokenizerPath: path(critic.model.tokenizerPath) ?? criticPath,
        },
      },
      ref: {
        ...ref,
        microBatchSizePerDeviceForExperience: actor.microBatchSizePerDeviceForExperience,
        paddingFree: actor.paddingFree,
        dynamicBatching: actor.dynamicBatching,
        ulyssesSize: actor.ulyssesSize,
        useTorchCompile: actor.useTorchCompile,
      },
      rollout: {
        ...rollout,
        promptLength: data.maxPromptLength,
        responseLength: data.maxResponseLength,
        trustRemoteCode: actor.model.trustRemoteCode,
      },
      reward: { ...reward, ...rewardFile(reward, cwd), python: localPath(reward.python) },
    },
    trainer: {
      ...trainer,
      saveCheckpointPath: runFolder,
      loadCheckpointPath: path(trainer.loadCheckpointPath),
      rayTimeline: trainer.rayTimeline && localPath(trainer.rayTimeline),
    },
    transport: config.transport,
    curriculum: config.curriculum,
    sft: {
      ...sft,
      trainFiles: sft.trainFiles ?? data.trainFiles,
      // Answers to imitate and answers to compare with may be of different kinds.
      valFiles: sft.valFiles ?? (sft.trainFiles === null ? data.valFiles : null),
      saveCheckpointPath: folder(sft.saveCheckpointPath ?? join(runFolder, 'sft')),
    },
  });
}

/** `config` with `global_batch_size_per_device` as the number of its learners makes it. */
export function withBatchesPerDevice(config: Config): Config {
  const { actor, critic, rollout } = config.worker;
  const learners = learnerCount(config);
  const divided = <T extends typeof actor | typeof critic>(trained: T): T => ({
    ...trained,
    globalBatchSizePerDevice: Math.floor(
      (trained.globalBatchSize * rollout.n * trained.ulyssesSize) / learners,
    ),
  });
  return {
    ...config,
    worker: { ...config.worker, actor: divided(actor), critic: divided(critic) },
  };
}

/**
 * Learners that share every mini-batch, which the reference calls the world size: `worker.actor.num_workers`, or
 * one a device of every host. A host without GPUs is one device, since one learner keeps all its cores busy. Where
 * `trainer.device` is `cuda`, there may be fewer GPUs than `trainer.n_gpus_per_node` until a run has counted them.
 */
export function learnerCount({ worker, trainer }: Config): number {
  const { nnodes, nGpusPerNode, device } = trainer;
  return worker.actor.numWorkers ?? nnodes * (device === 'cuda' ? nGpusPerNode : 1);
}

/** How validation samples: the rollout's keys, one response a prompt, `val_override_config` on top. */
export function validationSampling(rollout: Config['worker']['rollout']): Sampling {
  const { temperature, topP, topK, seed, ignoreEos } = rollout;
  const usual = { n: 1, temperature, topP, topK, seed, ignoreEos };
  const decoded = Sampling.decode({ ...Sampling.encode(usual), ...rollout.valOverrideConfig });
  return isRight(decoded) ? decoded.right : usual;
}

/**
 * Steps of a run over a training set of `prompts`; an incomplete last batch of an epoch is dropped.
 *
 * @see spec/config.md, 1.2
 */
export function trainingSteps(config: Config, prompts: number): number {
  const { rolloutBatchSize, miniRolloutBatchSize } = config.data;
  const { maxSteps, totalEpochs } = config.trainer;
  if (maxSteps !== null) return maxSteps;
  const loaderBatch = miniRolloutBatchSize ?? rolloutBatchSize;
  const batches = Math.floor(prompts / loaderBatch);
  return Math.floor((batches * loaderBatch) / rolloutBatchSize) * totalEpochs;
}
