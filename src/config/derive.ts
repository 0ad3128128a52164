/** Keys of a config that are made from other keys, and numbers of a run that follow from several of them. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRight } from 'fp-ts/lib/Either.js';
import { needsCritic } from '../algorithms/advantage.ts';
import { localPath } from '../files.ts';
import type { JudgeSettings } from './judge-schema.ts';
import { rewardFileOf } from './names.ts';
import type { RewardSource } from './reward-schema.ts';
import type { Config } from './schema.ts';
import { ValidationSampling } from './rollout-schema.ts';

/** The value at a dotted path of fields; never where there is none. */
type At<T, P extends string> = P extends `${infer Field}.${infer Rest}`
  ? Field extends keyof T
    ? At<T[Field], Rest>
    : never
  : P extends keyof T
    ? T[P]
    : never;

/** A derived key, and its value in a config in which the rows before it are derived. */
interface Derivation {
  readonly fields: readonly string[];
  readonly from: (config: Config, cwd: string) => unknown;
}

/** A row of the table: the dotted path of a key's fields, and what its value is made from. */
function key<P extends string>(
  path: P,
  from: (config: Config, cwd: string) => At<Config, P>,
): Derivation {
  return { fields: path.split('.'), from };
}

/** An existing path made absolute; anything else, such as an id on the hub, as it was written. */
function existing<P extends string | null>(path: P, cwd: string): P | string {
  if (path === null || path === '') return path;
  const whole = absolute(path, cwd);
  return existsSync(whole) ? whole : path;
}

/** A path made absolute that is relative to a folder. */
function absolute(path: string, cwd: string): string {
  return resolve(cwd, localPath(path));
}

/** Tells whether `override_chat_template` is the template itself rather than a file's name. */
export function isTemplateText(value: string): boolean {
  return /[{\n]/.test(value);
}

/** A reward's function with its name derived and its file made absolute. */
function derivedReward(
  reward: Pick<RewardSource, 'rewardFunction' | 'rewardFunctionName'>,
  cwd: string,
): Pick<RewardSource, 'rewardFunction' | 'rewardFunctionName'> {
  const { rewardFunction: spec, rewardFunctionName: name } = reward;
  const found = spec === null ? undefined : rewardFileOf(spec, name ?? undefined);
  return {
    rewardFunction: found === undefined ? spec : existing(found.file, cwd),
    rewardFunctionName: found?.name ?? null,
  };
}

/** A judge whose files are absolute. */
function derivedJudge(judge: JudgeSettings, cwd: string): JudgeSettings {
  const { promptTemplate: template, cachePath } = judge;
  return {
    ...judge,
    promptTemplate:
      template === null || isTemplateText(template) ? template : existing(template, cwd),
    cachePath: cachePath && absolute(cachePath, cwd),
  };
}

/** Samples per optimizer step on one device, as the number of learners divides them. */
function batchPerDevice(config: Config, role: 'actor' | 'critic'): number {
  const { globalBatchSize, ulyssesSize } = config.worker[role];
  const samples = globalBatchSize * config.worker.rollout.n * ulyssesSize;
  return Math.floor(samples / learnerCount(config));
}

const batchesPerDevice: readonly Derivation[] = [
  key('worker.actor.globalBatchSizePerDevice', (config) => batchPerDevice(config, 'actor')),
  key('worker.critic.globalBatchSizePerDevice', (config) => batchPerDevice(config, 'critic')),
];

/** Every derived key, in the order of derivation. */
const derivations: readonly Derivation[] = [
  key('data.imageDir', ({ data }, cwd) => existing(data.imageDir, cwd)),
  key('data.formatPrompt', ({ data }, cwd) => existing(data.formatPrompt, cwd)),
  key('data.overrideChatTemplate', ({ data: { overrideChatTemplate: template } }, cwd) =>
    template === null || isTemplateText(template) ? template : existing(template, cwd),
  ),

  key('worker.actor.disableKl', ({ algorithm }) => algorithm.disableKl),
  key('worker.actor.useKlLoss', ({ algorithm }) => algorithm.useKlLoss),
  key('worker.actor.klPenalty', ({ algorithm }) => algorithm.klPenalty),
  key('worker.actor.klCoef', ({ algorithm }) => algorithm.klCoef),
  key('worker.actor.model.modelPath', ({ worker: { actor } }, cwd) =>
    existing(actor.model.modelPath, cwd),
  ),
  key(
    'worker.actor.model.tokenizerPath',
    ({ worker: { actor } }, cwd) =>
      existing(actor.model.tokenizerPath, cwd) ?? actor.model.modelPath,
  ),

  // A value model begins as the policy, unless it is told otherwise. Without a critic there is none.
  key(
    'worker.critic.model.modelPath',
    ({ worker: { actor, critic }, algorithm }, cwd) =>
      existing(critic.model.modelPath, cwd) ??
      (needsCritic(algorithm.advEstimator) ? actor.model.modelPath : null),
  ),
  key(
    'worker.critic.model.tokenizerPath',
    ({ worker: { critic } }, cwd) =>
      existing(critic.model.tokenizerPath, cwd) ?? critic.model.modelPath,
  ),

  key(
    'worker.ref.microBatchSizePerDeviceForExperience',
    ({ worker: { actor } }) => actor.microBatchSizePerDeviceForExperience,
  ),
  key('worker.ref.paddingFree', ({ worker: { actor } }) => actor.paddingFree),
  key('worker.ref.dynamicBatching', ({ worker: { actor } }) => actor.dynamicBatching),
  key('worker.ref.ulyssesSize', ({ worker: { actor } }) => actor.ulyssesSize),
  key('worker.ref.useTorchCompile', ({ worker: { actor } }) => actor.useTorchCompile),

  key('worker.rollout.promptLength', ({ data }) => data.maxPromptLength),
  key('worker.rollout.responseLength', ({ data }) => data.maxResponseLength),
  key('worker.rollout.trustRemoteCode', ({ worker: { actor } }) => actor.model.trustRemoteCode),

  key('worker.reward', ({ worker: { reward } }, cwd) => ({
    ...reward,
    ...derivedReward(reward, cwd),
    rewardFunctions: reward.rewardFunctions.map((one) => ({
      ...one,
      ...derivedReward(one, cwd),
      judge: one.judge && derivedJudge(one.judge, cwd),
      rewardModel: one.rewardModel && { modelPath: existing(one.rewardModel.modelPath, cwd) },
    })),
  })),
  key('worker.reward.python', ({ worker: { reward } }) => localPath(reward.python)),

  key('trainer.saveCheckpointPath', ({ trainer }, cwd) =>
    absolute(
      trainer.saveCheckpointPath ??
        join('checkpoints', trainer.projectName, trainer.experimentName),
      cwd,
    ),
  ),
  key('trainer.loadCheckpointPath', ({ trainer }, cwd) =>
    existing(trainer.loadCheckpointPath, cwd),
  ),
  key(
    'trainer.rayTimeline',
    ({ trainer }) => trainer.rayTimeline && localPath(trainer.rayTimeline),
  ),

  // Answers to imitate and answers to compare with may be of different kinds.
  key(
    'sft.valFiles',
    ({ sft, data }) => sft.valFiles ?? (sft.trainFiles === null ? data.valFiles : null),
  ),
  key('sft.trainFiles', ({ sft, data }) => sft.trainFiles ?? data.trainFiles),
  key('sft.saveCheckpointPath', ({ sft, trainer }, cwd) =>
    absolute(sft.saveCheckpointPath ?? join(trainer.saveCheckpointPath!, 'sft'), cwd),
  ),

  ...batchesPerDevice,
];

/**
 * The config with its derived keys filled in and the paths that exist made absolute.
 *
 * Deriving twice changes nothing, so the config that a run prints can be run again.
 *
 * @param cwd the folder that relative paths start from
 */
export function derive(config: Config, cwd: string): Config {
  return derivedBy(derivations, config, cwd);
}

/** `config` with `global_batch_size_per_device` as the number of its learners makes it. */
export function withBatchesPerDevice(config: Config): Config {
  return derivedBy(batchesPerDevice, config, '');
}

function derivedBy(rows: readonly Derivation[], config: Config, cwd: string): Config {
  return rows.reduce(
    (derived, { fields, from }) => replacedAt(derived, fields, from(derived, cwd)),
    config,
  );
}

/** A copy of `whole` with another value at a path of fields. */
function replacedAt<T extends object>(
  whole: T,
  [first, ...rest]: readonly string[],
  value: unknown,
): T {
  const inner = (whole as Record<string, object>)[first!]!;
  return { ...whole, [first!]: rest.length === 0 ? value : replacedAt(inner, rest, value) };
}

/**
 * The number of learners that share every mini-batch, which the reference calls the world size.
 *
 * It is `worker.actor.num_workers`, or one a device of every host. A host without GPUs is one device, since one learner
 * keeps all its cores busy. Where `trainer.device` is `cuda`, there may be fewer GPUs than `trainer.n_gpus_per_node`
 * until a run has counted them.
 */
export function learnerCount({ worker, trainer }: Config): number {
  const { nnodes, nGpusPerNode, device } = trainer;
  return worker.actor.numWorkers ?? nnodes * (device === 'cuda' ? nGpusPerNode : 1);
}

/** Sampling of a validation: the rollout's keys, one response a prompt, `val_override_config` on top. */
export function validationSampling(rollout: Config['worker']['rollout']): ValidationSampling {
  const usual = { ...rollout, n: 1, bestOf: null };
  const decoded = ValidationSampling.decode({
    ...ValidationSampling.encode(usual),
    ...rollout.valOverrideConfig,
  });
  return isRight(decoded) ? decoded.right : usual;
}

/**
 * The number of steps of a run over a training set of `prompts`. As in EasyR1 an incomplete last batch of an epoch is
 * dropped.
 */
export function trainingSteps(config: Config, prompts: number): number {
  const { rolloutBatchSize, miniRolloutBatchSize } = config.data;
  const { maxSteps, totalEpochs } = config.trainer;
  if (maxSteps !== null) return maxSteps;
  const loaderBatch = miniRolloutBatchSize ?? rolloutBatchSize;
  const batches = Math.floor(prompts / loaderBatch);
  return Math.floor((batches * loaderBatch) / rolloutBatchSize) * totalEpochs;
}
