/** Rules between the keys of a training run, and the check of rules against a config. */
import { advantageEstimators, needsCritic } from '../algorithms/advantage.ts';
import { policyLosses } from '../algorithms/policy-losses.ts';
import { rejectionsOf } from '../algorithms/rejection.ts';
import type { Issue, SourceOf } from '../check/issues.ts';
import { floatDTypeOf } from './compute.ts';
import { messageOf } from '../errors.ts';
import type { Rule } from './rule.ts';
import { rewardListRules } from './reward-rules.ts';
import { sampleRules } from './sample-rules.ts';
import type { Config } from './schema.ts';

const divides = (part: number, whole: number): boolean => whole % part === 0;

/** Rules that the batch sizes of a trained model divide a step's prompts and samples evenly. */
function batchRules(role: 'actor' | 'critic'): readonly Rule[] {
  const key = (name: string): string => `worker.${role}.${name}`;
  const own = key('global_batch_size');
  return [
    {
      keys: role === 'actor' ? ['data.rollout_batch_size', own] : [own, 'data.rollout_batch_size'],
      broken: ({ data, worker }) =>
        divides(worker[role].globalBatchSize, data.rolloutBatchSize)
          ? undefined
          : `${data.rolloutBatchSize} prompts cannot be cut into mini-batches of ` +
            `${own} = ${worker[role].globalBatchSize}`,
    },
    {
      keys: [
        key('micro_batch_size_per_device_for_experience'),
        'data.rollout_batch_size',
        'worker.rollout.n',
      ],
      broken: ({ data, worker }) => {
        const samples = data.rolloutBatchSize * worker.rollout.n;
        const micro = worker[role].microBatchSizePerDeviceForExperience;
        return divides(micro, samples)
          ? undefined
          : `${micro} does not divide the ${samples} samples of a step ` +
              `(data.rollout_batch_size x worker.rollout.n)`;
      },
    },
    {
      keys: [key('micro_batch_size_per_device_for_update'), own, 'worker.rollout.n'],
      broken: ({ worker }) => {
        const samples = worker[role].globalBatchSize * worker.rollout.n;
        const micro = worker[role].microBatchSizePerDeviceForUpdate;
        return divides(micro, samples)
          ? undefined
          : `${micro} does not divide the ${samples} samples of a mini-batch ` +
              `(${own} x worker.rollout.n)`;
      },
    },
  ];
}

/** The rule that `loss_scale_factor` is given only with the average that uses it. */
function scaleFactorRule(role: 'actor' | 'critic'): Rule {
  return {
    keys: [`worker.${role}.loss_scale_factor`, `worker.${role}.loss_avg_mode`],
    broken: ({ worker }) => {
      const { lossScaleFactor: factor, lossAvgMode: mode } = worker[role];
      return factor === null || mode === 'seq-mean-token-sum-norm'
        ? undefined
        : `${factor} divides nothing in worker.${role}.loss_avg_mode = ${mode}; ` +
            'leave it out, or average by seq-mean-token-sum-norm';
    },
  };
}

/** The rule where there is a critic. */
export function ofCritic({ keys, broken }: Rule): Rule {
  return {
    keys: [...keys, 'algorithm.adv_estimator'],
    broken: (config) => (needsCritic(config.algorithm.advEstimator) ? broken(config) : undefined),
  };
}

/** Rules between the keys of any training run. */
export const trainingRules: readonly Rule[] = [
  ...batchRules('actor'),
  ...batchRules('critic').map(ofCritic),
  scaleFactorRule('actor'),
  ofCritic(scaleFactorRule('critic')),
  {
    keys: [
      'worker.actor.num_workers',
      'trainer.nnodes',
      'worker.actor.global_batch_size',
      'worker.rollout.n',
    ],
    broken: (config) => {
      const samples = config.worker.actor.globalBatchSize * config.worker.rollout.n;
      // Each host has at least one learner; the number of GPUs is not known yet.
      const learners = config.worker.actor.numWorkers ?? config.trainer.nnodes;
      return learners <= samples
        ? undefined
        : `${learners} learners cannot share the ${samples} samples of a mini-batch ` +
            `(worker.actor.global_batch_size x worker.rollout.n)`;
    },
  },
  {
    keys: ['worker.rollout.n', 'algorithm.adv_estimator'],
    broken: ({ algorithm: { advEstimator }, worker: { rollout } }) =>
      rollout.n > 1 || advantageEstimators[advEstimator].baseline !== 'group'
        ? undefined
        : `algorithm.adv_estimator = ${advEstimator} compares the responses of a prompt, ` +
          `so it takes more than 1, got ${rollout.n}`,
  },
  {
    keys: ['algorithm.scale_rewards', 'algorithm.adv_estimator'],
    broken: ({ algorithm: { scaleRewards, advEstimator } }) => {
      const { scalesRewards } = advantageEstimators[advEstimator];
      return scaleRewards === 'group' || scalesRewards
        ? undefined
        : `${scaleRewards} chooses a deviation, and algorithm.adv_estimator = ${advEstimator} divides by none; ` +
            'leave it at group, or estimate by grpo or grpo_passk';
    },
  },
  {
    keys: ['worker.rollout.max_num_batched_tokens'],
    broken: ({ data, worker: { rollout } }) => {
      const tokens = data.maxPromptLength + data.maxResponseLength;
      return rollout.maxNumBatchedTokens >= tokens
        ? undefined
        : `${rollout.maxNumBatchedTokens} tokens do not hold the longest sequence, ${tokens} ` +
            '(data.max_prompt_length + data.max_response_length)';
    },
  },
  {
    keys: ['trainer.max_try_make_batch', 'data.mini_rollout_batch_size'],
    broken: ({ algorithm, data, trainer: { maxTryMakeBatch: limit } }) => {
      const rounds = Math.ceil(
        data.rolloutBatchSize / (data.miniRolloutBatchSize ?? data.rolloutBatchSize),
      );
      return algorithm.onlineFiltering || limit <= 0 || rounds <= limit
        ? undefined
        : `a step takes ${rounds} rounds of data.mini_rollout_batch_size = ` +
            `${data.miniRolloutBatchSize ?? ''} prompts, and ${limit} are allowed`;
    },
  },
  {
    keys: ['worker.rollout.temperature'],
    broken: ({ worker: { rollout } }) =>
      rollout.temperature > 0
        ? undefined
        : 'training divides the logits by the temperature, so it must be above 0',
  },
  {
    keys: ['worker.actor.clip_cov_lb', 'worker.actor.clip_cov_ub', 'worker.actor.loss_type'],
    broken: ({ worker: { actor } }) => {
      const { lossType, clipCovLb, clipCovUb } = actor;
      return lossType !== 'clip_cov' || clipCovLb < clipCovUb
        ? undefined
        : `${clipCovLb} leaves no covariance below worker.actor.clip_cov_ub = ${clipCovUb}`;
    },
  },
  {
    keys: ['algorithm.top_entropy_quantile', 'worker.actor.loss_type'],
    broken: ({ algorithm: { topEntropyQuantile }, worker: { actor } }) =>
      topEntropyQuantile === 1 || policyLosses[actor.lossType].singleOut === null
        ? undefined
        : `worker.actor.loss_type = ${actor.lossType} chooses tokens by the covariance of all of them, ` +
          `so it takes 1, got ${topEntropyQuantile}`,
  },
  {
    keys: [
      'worker.actor.entropy_coeff_min',
      'worker.actor.entropy_coeff_max',
      'worker.actor.use_adaptive_entropy',
    ],
    broken: ({ worker: { actor } }) => {
      const { useAdaptiveEntropy, entropyCoeffMin: min, entropyCoeffMax: max } = actor;
      return !useAdaptiveEntropy || min <= max
        ? undefined
        : `${min} is above worker.actor.entropy_coeff_max = ${max}`;
    },
  },
  {
    keys: ['algorithm.kl_horizon', 'algorithm.kl_type'],
    broken: ({ algorithm: { klType, klHorizon } }) =>
      klType === 'fixed' || klHorizon > 0
        ? undefined
        : `algorithm.kl_type = adaptive takes a horizon above 0, got ${klHorizon}`,
  },
  ...rewardListRules,
  ...sampleRules,
  {
    keys: [
      'worker.ref.fsdp.mp_param_dtype',
      'worker.actor.fsdp.mp_param_dtype',
      'worker.actor.model.lora.rank',
    ],
    broken: ({ algorithm, worker: { actor, ref } }) => {
      const [own, shared] = [ref.fsdp.mpParamDtype, actor.fsdp.mpParamDtype];
      const isShared = actor.model.lora.rank > 0 && !algorithm.disableKl;
      return !isShared || own === null || floatDTypeOf(own) === floatDTypeOf(shared)
        ? undefined
        : `beside adapters the reference reads the policy's own weights, so ${own} has to be ` +
            `worker.actor.fsdp.mp_param_dtype = ${shared ?? 'fp32'}`;
    },
  },
  {
    keys: [
      'algorithm.rollout_correction.rollout_rs',
      'algorithm.rollout_correction.rollout_rs_threshold',
    ],
    broken: ({ algorithm: { rolloutCorrection } }) => {
      const { rolloutRs, rolloutRsThreshold } = rolloutCorrection;
      try {
        rejectionsOf(rolloutRs, rolloutRsThreshold);
      } catch (error) {
        return messageOf(error);
      }
      return undefined;
    },
  },
  {
    keys: ['algorithm.rollout_correction.rollout_is', 'worker.actor.loss_type'],
    broken: ({ algorithm: { rolloutCorrection }, worker: { actor } }) => {
      const { rolloutIs } = rolloutCorrection;
      const levels: readonly string[] = policyLosses[actor.lossType].weightLevels;
      return rolloutIs === null || rolloutIs === 'auto' || levels.includes(rolloutIs)
        ? undefined
        : `worker.actor.loss_type = ${actor.lossType} has one ratio for a whole response and takes ` +
            `${[...levels, 'null'].join(' or ')}, got ${rolloutIs}`;
    },
  },
  {
    keys: ['algorithm.rollout_correction.rollout_is_batch_normalize', 'worker.actor.loss_type'],
    broken: ({ algorithm: { rolloutCorrection }, worker: { actor } }) =>
      rolloutCorrection.rolloutIsBatchNormalize &&
      policyLosses[actor.lossType].weightsMultiply === 'ratio'
        ? `worker.actor.loss_type = ${actor.lossType} has the weights in its ratio, which a mean over the batch is no ` +
          'part of; set it to false'
        : undefined,
  },
  {
    keys: ['worker.ref.sync_ref_model', 'algorithm.disable_kl', 'worker.actor.model.lora.rank'],
    broken: ({ algorithm, worker: { actor, ref } }) => {
      if (!ref.syncRefModel) return undefined;
      if (algorithm.disableKl) {
        return 'there is no reference to move with algorithm.disable_kl = true; set one of them to false';
      }
      return actor.model.lora.rank === 0
        ? undefined
        : "beside adapters the reference is the policy's own weights, which stay as they are; set it to false, or " +
            'train the weights themselves by worker.actor.model.lora.rank = 0';
    },
  },
  {
    keys: ['trainer.partial_rollout', 'trainer.max_staleness', 'worker.rollout.multi_turn.enable'],
    broken: ({ trainer: { partialRollout, maxStaleness }, worker: { rollout } }) => {
      if (partialRollout === 'off') return undefined;
      if (rollout.multiTurn.enable) {
        return `${partialRollout} samples responses of one turn, so worker.rollout.multi_turn.enable has to be false`;
      }
      return maxStaleness > 0
        ? undefined
        : `${partialRollout} takes rollouts ahead of the learners: trainer.max_staleness of 1 or more`;
    },
  },
  {
    keys: ['trainer.load_checkpoint_path'],
    broken: ({ trainer: { loadCheckpointPath: path } }) =>
      path === null || /global_step_[^/\\]*[/\\]*$/.test(path)
        ? undefined
        : `expected a folder called global_step_N, got ${JSON.stringify(path)}`,
  },
];

/** Issues of the rules that `config` breaks, less rules that read a key which did not decode. */
export function brokenRules(
  rules: readonly Rule[],
  config: Config,
  sourceOf: SourceOf,
  isKnown: (path: string) => boolean,
): Issue[] {
  return rules.flatMap(({ keys, broken }): Issue[] => {
    const expected = keys.every(isKnown) ? broken(config) : undefined;
    if (expected === undefined) return [];
    const source = keys.map(sourceOf).find((found) => found !== undefined);
    return [{ path: keys[0], expected, ...(source === undefined ? {} : { source }) }];
  });
}
