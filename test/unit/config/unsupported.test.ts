import assert from 'node:assert/strict';
import { configFrom } from '../../../src/config/load.ts';
import { trainingRules } from '../../../src/config/rules.ts';
import { unsupported } from '../../../src/config/unsupported.ts';
import { effectOf } from '../../support/effect.ts';

/** Message about each item, beside a config that is right otherwise. */
const refused: Readonly<Record<string, string>> = {
  'algorithm.kl_penalty=full':
    'full needs the log-probabilities of the whole vocabulary, which are never kept',
  'worker.hybrid_engine=false': 'false is not built yet',
  'trainer.device=webgpu': 'training on webgpu is not built yet',
  'worker.actor.fsdp.mp_param_dtype=fp16':
    'training in fp16, whose small gradients need a loss scale, is not built yet',
  'data.rollout_batch_size=320':
    '320 prompts cannot be cut into mini-batches of worker.actor.global_batch_size = 256',
  'worker.actor.micro_batch_size_per_device_for_experience=3':
    '3 does not divide the 1024 samples of a step (data.rollout_batch_size x worker.rollout.n)',
  'worker.actor.micro_batch_size_per_device_for_update=3':
    '3 does not divide the 512 samples of a mini-batch (worker.actor.global_batch_size x worker.rollout.n)',
  'worker.actor.num_workers=513':
    '513 learners cannot share the 512 samples of a mini-batch (worker.actor.global_batch_size x worker.rollout.n)',
  'trainer.max_try_make_batch=3':
    'a step takes 4 rounds of data.mini_rollout_batch_size = 128 prompts, and 3 are allowed',
  'worker.rollout.max_num_batched_tokens=1000':
    '1000 tokens do not hold the longest sequence, 1024 (data.max_prompt_length + data.max_response_length)',
  'worker.rollout.n=1':
    'algorithm.adv_estimator = grpo compares the responses of a prompt, so it takes more than 1, got 1',
  'algorithm.scale_rewards=none algorithm.adv_estimator=rloo':
    'none chooses a deviation, and algorithm.adv_estimator = rloo divides by none; leave it at group, or estimate by grpo or grpo_passk',
  'worker.actor.loss_scale_factor=64':
    '64 divides nothing in worker.actor.loss_avg_mode = token; leave it out, or average by seq-mean-token-sum-norm',
  'worker.actor.entropy_coeff_min=0.5 worker.actor.entropy_coeff_max=0.1 worker.actor.use_adaptive_entropy=true':
    '0.5 is above worker.actor.entropy_coeff_max = 0.1',
  'worker.actor.clip_cov_lb=5 worker.actor.loss_type=clip_cov':
    '5 leaves no covariance below worker.actor.clip_cov_ub = 5',
  'algorithm.top_entropy_quantile=0.2 worker.actor.loss_type=kl_cov':
    'worker.actor.loss_type = kl_cov chooses tokens by the covariance of all of them, so it takes 1, got 0.2',
  'worker.rollout.temperature=0':
    'training divides the logits by the temperature, so it must be above 0',
  'algorithm.rollout_correction.rollout_rs=token_k1':
    'rollout_rs_threshold: expected one threshold, or one for each of token_k1, got 0',
  'algorithm.rollout_correction.rollout_is=token worker.actor.loss_type=geo_mean':
    'worker.actor.loss_type = geo_mean has one ratio for a whole response and takes sequence or null, got token',
  'algorithm.rollout_correction.rollout_is=sequence worker.actor.loss_type=vespo':
    'worker.actor.loss_type = vespo has one ratio for a whole response and takes token or null, got sequence',
  'algorithm.rollout_correction.rollout_is_batch_normalize=true worker.actor.loss_type=vespo':
    'worker.actor.loss_type = vespo has the weights in its ratio, which a mean over the batch is no part of; set it to false',
  'algorithm.kl_horizon=0 algorithm.kl_type=adaptive':
    'algorithm.kl_type = adaptive takes a horizon above 0, got 0',
  'worker.ref.sync_ref_model=true algorithm.disable_kl=true':
    'there is no reference to move with algorithm.disable_kl = true; set one of them to false',
  'worker.ref.sync_ref_model=true worker.actor.model.lora.rank=4':
    "beside adapters the reference is the policy's own weights, which stay as they are; set it to false, or train the weights themselves by worker.actor.model.lora.rank = 0",
  'trainer.partial_rollout=keep':
    'keep takes rollouts ahead of the learners: trainer.max_staleness of 1 or more',
  'trainer.load_checkpoint_path=runs/actor':
    'expected a folder called global_step_N, got "runs/actor"',
};

/** The same of a run with a critic. */
const refusedOfCritic: Readonly<Record<string, string>> = {
  'worker.critic.fsdp.mp_param_dtype=float16':
    'training in float16, whose small gradients need a loss scale, is not built yet',
  'worker.critic.global_batch_size=320':
    '512 prompts cannot be cut into mini-batches of worker.critic.global_batch_size = 320',
  'worker.critic.micro_batch_size_per_device_for_experience=3':
    '3 does not divide the 1024 samples of a step (data.rollout_batch_size x worker.rollout.n)',
  'worker.critic.micro_batch_size_per_device_for_update=3':
    '3 does not divide the 512 samples of a mini-batch (worker.critic.global_batch_size x worker.rollout.n)',
  'worker.critic.loss_scale_factor=64':
    '64 divides nothing in worker.critic.loss_avg_mode = token; leave it out, or average by seq-mean-token-sum-norm',
};

async function issuesWith(...items: readonly string[]): Promise<string[]> {
  const usual = ['worker.rollout.n=2', 'data.mini_rollout_batch_size=128'];
  const { issues } = await configFrom([...usual, ...items], { purpose: null });
  return issues.map(({ path, expected }) => `${path}: ${expected}`);
}

describe('a value that a run cannot be started with', () => {
  effectOf('worker.hybrid_engine', 'trainer.device');
  for (const [item, reason] of Object.entries(refused)) {
    it(`is refused plainly: ${item}`, async () => {
      assert.deepEqual(await issuesWith(...item.split(' ')), [`${item.split('=')[0]}: ${reason}`]);
    });
  }

  for (const [item, reason] of Object.entries(refusedOfCritic)) {
    it(`is refused plainly where there is a critic, and there alone: ${item}`, async () => {
      const expected = [`${item.split('=')[0]}: ${reason}`];
      const broken = item.includes('global_batch_size')
        ? [item, 'worker.critic.micro_batch_size_per_device_for_update=1']
        : [item];
      assert.deepEqual(await issuesWith('algorithm.adv_estimator=gae', ...broken), expected);
      assert.deepEqual(await issuesWith(...broken), []);
    });
  }

  it('is a folder of samples that does not lie inside the run', async () => {
    const folders = { rollout: 'rollouts', validation: 'validations' };
    for (const [kind, example] of Object.entries(folders)) {
      const key = `trainer.${kind}_data_dir`;
      for (const name of ['/data/dumps', '..', 'a/../../b', '.', 'a/..']) {
        assert.deepEqual(await issuesWith(`${key}=${name}`), [
          `${key}: expected the name of a folder inside the run's, such as ${example}, got "${name}"; ` +
            'trainer.save_checkpoint_path says where the run itself lies',
        ]);
      }
      assert.deepEqual(await issuesWith(`${key}=a/..b/`), []);
    }
  });

  it('is a folder of validations that is not apart from that of rollouts', async () => {
    const issues = (rollouts: string, validations: string): Promise<string[]> =>
      issuesWith(
        `trainer.rollout_data_dir=${rollouts}`,
        `trainer.validation_data_dir=${validations}`,
      );
    for (const [rollouts, validations] of [
      ['a', './a/'],
      ['a', 'a/b'],
      ['a/b', 'a'],
    ] as const) {
      assert.deepEqual(await issues(rollouts, validations), [
        `trainer.validation_data_dir: "${validations}" is not apart from trainer.rollout_data_dir = "${rollouts}"; ` +
          'name two folders of which neither lies in the other, such as validations and rollouts',
      ]);
    }
    assert.deepEqual(await issues('a/rollouts', 'a/validations'), []);
  });

  it('is a reference in another dtype than the policy whose weights it reads', async () => {
    const own = 'worker.ref.fsdp.mp_param_dtype=float16';
    const adapted = [own, 'worker.actor.model.lora.rank=4'];
    const policy = 'worker.actor.fsdp.mp_param_dtype=bf16';
    assert.deepEqual(await issuesWith(...adapted, policy), [
      "worker.ref.fsdp.mp_param_dtype: beside adapters the reference reads the policy's own weights, " +
        'so float16 has to be worker.actor.fsdp.mp_param_dtype = bf16',
    ]);
    assert.deepEqual(await issuesWith(own, policy), []);
    assert.deepEqual(await issuesWith(...adapted, 'algorithm.disable_kl=true'), []);
    const same = 'worker.ref.fsdp.mp_param_dtype=bfloat16';
    assert.deepEqual(await issuesWith(...adapted, policy, same), []);
  });

  it('is no reference that is moved', async () => {
    assert.deepEqual(await issuesWith('worker.ref.sync_ref_model=true'), []);
  });

  it('has a case here for every rule', () => {
    const covered = new Set(
      Object.keys({ ...refused, ...refusedOfCritic }).map((item) => item.split('=')[0]),
    );
    covered.add('worker.reward.gate.rule').add('worker.ref.fsdp.mp_param_dtype');
    covered.add('trainer.rollout_data_dir').add('trainer.validation_data_dir');
    // In `reward-rules.test.ts`.
    covered.add('worker.reward.reward_functions');
    const keys = [...trainingRules, ...unsupported].map((rule) => rule.keys[0]);
    assert.deepEqual(
      keys.filter((key) => !covered.has(key)),
      [],
    );
  });
});

describe('a key that has no effect', () => {
  const fsdp = {
    enable_full_shard: false,
    enable_rank0_init: false,
    use_orig_params: true,
    fsdp_size: 2,
    mp_buffer_dtype: 'bf16',
  };
  const trained = { strategy: 'fsdp2', ulysses_size: 2, 'optim.warmup_style': 'cosine' };
  /** Values of each section that differ from the defaults of their keys. */
  const others: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    'worker.actor': { ...trained, padding_free: false, use_torch_compile: false },
    'worker.actor.model': { trust_remote_code: false },
    'worker.actor.fsdp': fsdp,
    'worker.critic': { ...trained, padding_free: true },
    'worker.critic.fsdp': fsdp,
    'worker.critic.model': { tokenizer_path: 'x', trust_remote_code: false },
    'worker.critic.model.lora': {
      rank: 4,
      alpha: 8,
      target_modules: 'q_proj',
      exclude_modules: 'x',
    },
    'worker.ref': { strategy: 'fsdp2' },
    'worker.ref.fsdp': { ...fsdp, mp_reduce_dtype: 'bf16' },
    'worker.ref.offload': { offload_optimizer: true },
    'worker.rollout': {
      name: 'sglang',
      dtype: 'fp16',
      enforce_eager: true,
      enable_chunked_prefill: true,
      tensor_parallel_size: 4,
      max_model_len: 8000,
      disable_log_stats: false,
      disable_tqdm: true,
    },
  };
  const keys = Object.entries(others).flatMap(([section, values]) =>
    Object.keys(values).map((key) => `${section}.${key}`),
  );
  const items = Object.entries(others).flatMap(([section, values]) =>
    Object.entries(values).map(([key, value]) => `${section}.${key}=${String(value)}`),
  );

  it('is named in the one line of all of them, wherever it is set', async () => {
    const { warnings } = await configFrom(['algorithm.adv_estimator=gae', ...items], {
      purpose: null,
    });
    const lines = warnings.filter((line) => line.startsWith('no effect here: '));
    assert.equal(lines.length, 1);
    const named = lines[0]!.replace('no effect here: ', '').split(', ');
    assert.deepEqual(named.sort(), [...keys].sort());
  });

  it('is what keeps the weights of a reference in a file where it has none of its own', async () => {
    for (const item of ['algorithm.disable_kl=true', 'worker.actor.model.lora.rank=4']) {
      const items = [
        'worker.ref.offload.offload_params=true',
        'worker.ref.fsdp.enable_cpu_offload=true',
      ];
      const { warnings } = await configFrom([item, ...items], { purpose: null });
      assert.deepEqual(warnings, [
        'no effect here: worker.ref.fsdp.enable_cpu_offload, worker.ref.offload.offload_params',
      ]);
    }
  });

  it('is any key of a critic where there is none', async () => {
    const { warnings } = await configFrom(['worker.critic.optim.lr=1'], { purpose: null });
    assert.deepEqual(warnings, ['no effect here: worker.critic.optim.lr']);
  });
});
