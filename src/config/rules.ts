import { learnerCount } from './derive.ts';
import { issuesOf, type Issue, type SourceOf } from './issues.ts';
import type { Config } from './schema.ts';
import { Sampling } from './worker-schema.ts';

/** A rule over several keys; the first of them is the one an issue names. */
export interface Rule {
  readonly keys: readonly [string, ...string[]];
  /** What is wrong, in words with the values, or undefined. */
  readonly broken: (config: Config) => string | undefined;
}

const divides = (part: number, whole: number): boolean => whole % part === 0;

/** What must hold between the keys of any training run. @see spec/config.md, 1.3 */
export const trainingRules: readonly Rule[] = [
  {
    keys: ['data.rollout_batch_size', 'worker.actor.global_batch_size'],
    broken: ({ data: { rolloutBatchSize }, worker }) =>
      divides(worker.actor.globalBatchSize, rolloutBatchSize)
        ? undefined
        : `${rolloutBatchSize} prompts cannot be cut into mini-batches of ` +
          `worker.actor.global_batch_size = ${worker.actor.globalBatchSize}`,
  },
  {
    keys: [
      'worker.actor.micro_batch_size_per_device_for_experience',
      'data.rollout_batch_size',
      'worker.rollout.n',
    ],
    broken: ({ data, worker: { actor, rollout } }) => {
      const samples = data.rolloutBatchSize * rollout.n;
      const micro = actor.microBatchSizePerDeviceForExperience;
      return divides(micro, samples)
        ? undefined
        : `${micro} does not divide the ${samples} samples of a step ` +
            `(data.rollout_batch_size x worker.rollout.n)`;
    },
  },
  {
    keys: [
      'worker.actor.micro_batch_size_per_device_for_update',
      'worker.actor.global_batch_size',
      'worker.rollout.n',
    ],
    broken: ({ worker: { actor, rollout } }) => {
      const samples = actor.globalBatchSize * rollout.n;
      const micro = actor.microBatchSizePerDeviceForUpdate;
      return divides(micro, samples)
        ? undefined
        : `${micro} does not divide the ${samples} samples of a mini-batch ` +
            `(worker.actor.global_batch_size x worker.rollout.n)`;
    },
  },
  {
    keys: [
      'worker.actor.num_workers',
      'trainer.nnodes',
      'worker.actor.global_batch_size',
      'worker.rollout.n',
    ],
    broken: (config) => {
      const samples = config.worker.actor.globalBatchSize * config.worker.rollout.n;
      const learners = learnerCount(config);
      return learners <= samples
        ? undefined
        : `${learners} learners cannot share the ${samples} samples of a mini-batch ` +
            `(worker.actor.global_batch_size x worker.rollout.n)`;
    },
  },
  {
    keys: ['worker.rollout.n', 'algorithm.adv_estimator'],
    broken: ({ algorithm: { advEstimator }, worker: { rollout } }) =>
      rollout.n > 1 || !['grpo', 'grpo_passk', 'rloo'].includes(advEstimator)
        ? undefined
        : `algorithm.adv_estimator = ${advEstimator} compares the responses of a prompt, ` +
          `so it takes more than 1, got ${rollout.n}`,
  },
  {
    keys: ['worker.rollout.temperature'],
    broken: ({ worker: { rollout } }) =>
      rollout.temperature > 0
        ? undefined
        : 'training divides the logits by the temperature, so it must be above 0',
  },
  {
    keys: ['algorithm.kl_horizon', 'algorithm.kl_type'],
    broken: ({ algorithm: { klType, klHorizon } }) =>
      klType === 'fixed' || klHorizon > 0
        ? undefined
        : `algorithm.kl_type = adaptive takes a horizon above 0, got ${klHorizon}`,
  },
  {
    keys: ['worker.reward.gate.rule', 'worker.reward.gate.key', 'worker.reward.gate.bonus'],
    broken: ({ worker: { reward } }) => {
      const { rule, key, bonus } = reward.gate;
      const isTold = rule === null || rule === 'none' || (key !== null && bonus !== null);
      return reward.rewardFunctionName === null || isTold
        ? undefined
        : `${rule} over a file needs worker.reward.gate.key, the part to decide by, and worker.reward.gate.bonus, ` +
            'the parts to pay';
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

/** The rules broken by `config`, less those that read a key which `isKnown` says did not decode. */
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

/** What is wrong inside `worker.rollout.val_override_config`. */
export function validationSamplingIssues(config: Config, sourceOf: SourceOf): Issue[] {
  const prefix = 'worker.rollout.val_override_config.';
  const decoded = Sampling.decode(config.worker.rollout.valOverrideConfig);
  if (decoded._tag === 'Right') return [];
  const issues = issuesOf(Sampling, decoded.left, (path) => sourceOf(prefix + path));
  return issues.map((issue) => ({
    ...issue,
    path: prefix + issue.path,
    ...(issue.expected === 'a known key' && issue.nearest !== undefined
      ? { nearest: prefix + issue.nearest }
      : {}),
  }));
}
