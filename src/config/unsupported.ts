import { asMapping, keyPaths } from './codec.ts';
import { isRewardFile } from './derive.ts';
import { nearestOf } from './issues.ts';
import type { Rule } from './rules.ts';
import { Config, defaults } from './schema.ts';

const notBuilt = (asked: boolean, what: string): string | undefined =>
  asked ? `${what} is not built yet` : undefined;

/** Values the reference takes and this version does not; each asks for a feature that is still missing. */
export const unsupported: readonly Rule[] = [
  {
    keys: ['algorithm.adv_estimator'],
    broken: ({ algorithm: { advEstimator } }) =>
      notBuilt(
        advEstimator === 'gae' || advEstimator === 'remax',
        advEstimator === 'gae' ? 'gae (the critic)' : 'remax (the greedy pass)',
      ),
  },
  {
    keys: ['algorithm.kl_penalty'],
    broken: ({ algorithm: { klPenalty } }) =>
      klPenalty === 'full'
        ? 'full needs the log-probabilities of the whole vocabulary, which are never kept'
        : undefined,
  },
  {
    keys: ['algorithm.online_filtering'],
    broken: ({ algorithm }) => notBuilt(algorithm.onlineFiltering, 'online filtering'),
  },
  {
    keys: ['worker.hybrid_engine'],
    broken: ({ worker }) => notBuilt(!worker.hybridEngine, 'false'),
  },
  {
    keys: ['worker.actor.ulysses_size'],
    broken: ({ worker: { actor } }) => notBuilt(actor.ulyssesSize > 1, 'sequence parallelism'),
  },
  {
    keys: ['worker.actor.model.lora.rank'],
    broken: ({ worker: { actor } }) => notBuilt(actor.model.lora.rank > 0, 'LoRA'),
  },
  {
    keys: ['worker.actor.model.override_config'],
    broken: ({ worker: { actor } }) =>
      notBuilt(
        Object.keys(actor.model.overrideConfig).length > 0,
        "overriding the checkpoint's config",
      ),
  },
  {
    keys: ['worker.actor.model.freeze_vision_tower'],
    broken: ({ worker: { actor } }) =>
      notBuilt(actor.model.freezeVisionTower, 'freezing the vision tower'),
  },
  {
    keys: ['worker.actor.optim.strategy'],
    broken: ({ worker: { actor } }) =>
      notBuilt(actor.optim.strategy !== 'adamw', actor.optim.strategy),
  },
  {
    keys: ['worker.reward.reward_type'],
    broken: ({ worker: { reward } }) =>
      reward.rewardType === 'sequential'
        ? "the reward's file says it itself: export const REWARD_TYPE = 'sequential'"
        : undefined,
  },
  {
    keys: ['trainer.critic_warmup'],
    broken: ({ trainer }) => notBuilt(trainer.criticWarmup > 0, 'holding the policy back'),
  },
  {
    keys: ['trainer.device'],
    broken: ({ trainer: { device } }) =>
      notBuilt(device === 'webgpu' || device === 'cuda', `training on ${device}`),
  },
];

/** Says when `reward_function` is neither a file nor one of `known`, the built-in rewards. */
export function rewardRule(known: readonly string[]): Rule {
  return {
    keys: ['worker.reward.reward_function'],
    broken: ({ worker: { reward } }) => {
      const spec = reward.rewardFunction;
      if (spec === null || known.includes(spec)) return undefined;
      const choice = `./file.ts:function or one of ${known.join(', ')}`;
      if (/\.py$/.test(spec))
        return `Python files do not run here; expected ${choice}, got "${spec}"`;
      if (isRewardFile(spec)) return undefined;
      return `expected ${choice}, got "${spec}", did you mean ${nearestOf(spec, known) ?? ''}?`;
    },
  };
}

/** Keys and sections that speak to the reference's GPU engine and processes; they change nothing here. */
const withoutEffect = [
  'worker.actor.strategy',
  'worker.actor.padding_free',
  'worker.actor.use_torch_compile',
  'worker.actor.fsdp',
  'worker.actor.offload',
  'worker.critic',
  'worker.ref.strategy',
  'worker.ref.fsdp',
  'worker.ref.offload',
  'worker.rollout.name',
  'worker.rollout.dtype',
  'worker.rollout.gpu_memory_utilization',
  'worker.rollout.enforce_eager',
  'worker.rollout.enable_chunked_prefill',
  'worker.rollout.tensor_parallel_size',
  'worker.rollout.max_model_len',
  'worker.rollout.disable_log_stats',
  'worker.rollout.disable_tqdm',
  'worker.reward.num_cpus',
  'trainer.n_gpus_per_node',
  'trainer.ray_timeline',
];

const loggersBuilt: readonly string[] = ['console', 'file'];

function valueAt(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => asMapping(at)?.[key], tree);
}

/**
 * One line that names every key set away from its default that has no effect here.
 *
 * @param config as decoded, before derivation copies values about
 */
export function ignoredKeys(config: Config): string | undefined {
  const given = Config.encode(config);
  const usual = Config.encode(defaults());
  const isSet = (path: string): boolean =>
    JSON.stringify(valueAt(given, path)) !== JSON.stringify(valueAt(usual, path));
  const ignored = keyPaths(Config)
    .filter((path) => withoutEffect.some((key) => path === key || path.startsWith(`${key}.`)))
    .filter((path) => asMapping(valueAt(usual, path)) === undefined && isSet(path));
  const loggers = config.trainer.logger.filter((name) => !loggersBuilt.includes(name));
  if (loggers.length > 0 && isSet('trainer.logger')) {
    ignored.push(`trainer.logger (${loggers.join(', ')})`);
  }
  return ignored.length === 0 ? undefined : `no effect here: ${ignored.join(', ')}`;
}
