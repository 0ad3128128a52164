/** Keys and values of the reference's configs that are refused here, or taken without effect. */
import { needsCritic } from '../algorithms/advantage.ts';
import { asMapping, keyPaths, valueAt } from '../check/codec.ts';
import { floatDTypeOf } from './compute.ts';
import { rewardFileOf } from './names.ts';
import { nearestOf } from '../check/nearest.ts';
import type { Rule } from './rule.ts';
import { ofCritic } from './rules.ts';
import { Config, defaults } from './schema.ts';

const notBuilt = (asked: boolean, what: string): string | undefined =>
  asked ? `${what} is not built yet` : undefined;

function trainedDtypeRule(role: 'actor' | 'critic'): Rule {
  return {
    keys: [`worker.${role}.fsdp.mp_param_dtype`],
    broken: ({ worker }) => {
      const { mpParamDtype: name } = worker[role].fsdp;
      const what = `training in ${String(name)}, whose small gradients need a loss scale,`;
      return notBuilt(floatDTypeOf(name) === 'f16', what);
    },
  };
}

/** Rules against values that the reference takes and this version does not: each asks for a missing feature. */
export const unsupported: readonly Rule[] = [
  {
    keys: ['algorithm.kl_penalty'],
    broken: ({ algorithm: { klPenalty } }) =>
      klPenalty === 'full'
        ? 'full needs the log-probabilities of the whole vocabulary, which are never kept'
        : undefined,
  },
  {
    keys: ['worker.hybrid_engine'],
    broken: ({ worker }) => notBuilt(!worker.hybridEngine, 'false'),
  },
  trainedDtypeRule('actor'),
  ofCritic(trainedDtypeRule('critic')),
  {
    keys: ['trainer.device'],
    broken: ({ trainer: { device } }) => notBuilt(device === 'webgpu', 'training on webgpu'),
  },
];

/** The rules that rewards are files or among `known`, the built-in ones. */
export function rewardRules(known: readonly string[]): readonly Rule[] {
  const problem = (spec: string | null): string | undefined => {
    if (spec === null || known.includes(spec)) return undefined;
    if (rewardFileOf(spec) !== undefined) return undefined;
    const choice = `./file.ts:function, ./file.py:function or one of ${known.join(', ')}`;
    const nearest = nearestOf(spec, known);
    const meant = nearest === undefined ? '' : `, did you mean ${nearest}?`;
    return `expected ${choice}, got "${spec}"${meant}`;
  };
  return [
    {
      keys: ['worker.reward.reward_function'],
      broken: ({ worker: { reward } }) => problem(reward.rewardFunction),
    },
    {
      keys: ['worker.reward.reward_functions'],
      broken: ({ worker: { reward } }) => {
        const found = reward.rewardFunctions.flatMap(({ name, rewardFunction }) => {
          const why = problem(rewardFunction);
          return why === undefined ? [] : [`${name}: ${why}`];
        });
        return found[0];
      },
    },
  ];
}

/** Keys of a sharding section without effect: all but its dtypes and `enable_cpu_offload`. */
const fsdpKeys = (section: string): string[] =>
  ['enable_full_shard', 'enable_rank0_init', 'use_orig_params', 'fsdp_size', 'mp_buffer_dtype'].map(
    (key) => `${section}.${key}`,
  );

/** Keys that keep the weights of the reference in a file. */
const referenceOffloads = [
  'worker.ref.fsdp.enable_cpu_offload',
  'worker.ref.offload.offload_params',
];

/** Keys and sections that speak to the reference's GPU engine and processes, and change nothing here. */
const withoutEffect = [
  'worker.actor.strategy',
  'worker.actor.model.trust_remote_code',
  'worker.actor.optim.warmup_style',
  'worker.actor.padding_free',
  'worker.actor.use_torch_compile',
  'worker.actor.ulysses_size',
  ...fsdpKeys('worker.actor.fsdp'),
  'worker.critic.strategy',
  'worker.critic.optim.warmup_style',
  'worker.critic.padding_free',
  'worker.critic.ulysses_size',
  ...fsdpKeys('worker.critic.fsdp'),
  'worker.critic.model.tokenizer_path',
  'worker.critic.model.trust_remote_code',
  'worker.critic.model.lora',
  'worker.ref.strategy',
  ...fsdpKeys('worker.ref.fsdp'),
  'worker.ref.fsdp.mp_reduce_dtype',
  'worker.ref.offload.offload_optimizer',
  'worker.rollout.name',
  'worker.rollout.dtype',
  'worker.rollout.enforce_eager',
  'worker.rollout.enable_chunked_prefill',
  'worker.rollout.tensor_parallel_size',
  'worker.rollout.max_model_len',
  'worker.rollout.disable_log_stats',
  'worker.rollout.disable_tqdm',
];

/** Derived keys without effect. A printed config has them, so no warning names them. */
const derivedWithoutEffect = [
  'worker.actor.optim.training_steps',
  'worker.critic.optim.training_steps',
  'worker.ref.padding_free',
  'worker.ref.ulysses_size',
  'worker.ref.use_torch_compile',
  'worker.rollout.trust_remote_code',
];

const liesIn = (path: string, sections: readonly string[]): boolean =>
  sections.some((section) => path === section || path.startsWith(`${section}.`));

/** Tells whether a key, or all of a section, changes nothing here and is taken for the reference's configs. */
export function isWithoutEffect(path: string): boolean {
  return liesIn(path, [...withoutEffect, ...derivedWithoutEffect]);
}

/**
 * One line that names every key set away from its default that has no effect here.
 *
 * @param config the config as decoded, before derivation copies values
 */
export function ignoredKeys(config: Config): string | undefined {
  const given = Config.encode(config);
  const usual = Config.encode(defaults());
  const isSet = (path: string): boolean =>
    JSON.stringify(valueAt(given, path)) !== JSON.stringify(valueAt(usual, path));
  const { advEstimator, disableKl } = config.algorithm;
  const critic = needsCritic(advEstimator) ? [] : ['worker.critic'];
  // Beside adapters the reference reads the policy's own weights.
  const hasReference = !disableKl && config.worker.actor.model.lora.rank === 0;
  const reference = hasReference ? [] : referenceOffloads;
  const ignored = keyPaths(Config)
    .filter((path) => liesIn(path, [...withoutEffect, ...critic, ...reference]))
    .filter((path) => asMapping(valueAt(usual, path)) === undefined && isSet(path));
  return ignored.length === 0 ? undefined : `no effect here: ${ignored.join(', ')}`;
}
