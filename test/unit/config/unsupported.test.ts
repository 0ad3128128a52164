import assert from 'node:assert/strict';
import { configFrom } from '../../../src/config/load.ts';
import { trainingRules } from '../../../src/config/rules.ts';
import { unsupported } from '../../../src/config/unsupported.ts';

/** What each item is answered with, beside a config that is right otherwise. */
const refused: Readonly<Record<string, string>> = {
  'algorithm.adv_estimator=gae': 'gae (the critic) is not built yet',
  'algorithm.adv_estimator=remax': 'remax (the greedy pass) is not built yet',
  'algorithm.kl_penalty=full':
    'full needs the log-probabilities of the whole vocabulary, which are never kept',
  'algorithm.online_filtering=true': 'online filtering is not built yet',
  'worker.hybrid_engine=false': 'false is not built yet',
  'worker.actor.ulysses_size=2': 'sequence parallelism is not built yet',
  'worker.actor.model.lora.rank=8': 'LoRA is not built yet',
  'worker.actor.model.override_config={a: 1}':
    "overriding the checkpoint's config is not built yet",
  'worker.actor.model.freeze_vision_tower=true': 'freezing the vision tower is not built yet',
  'worker.actor.optim.strategy=adamw_bf16': 'adamw_bf16 is not built yet',
  'worker.reward.reward_type=sequential':
    "the reward's file says it itself: export const REWARD_TYPE = 'sequential'",
  'trainer.critic_warmup=1': 'holding the policy back is not built yet',
  'trainer.device=cuda': 'training on cuda is not built yet',
  'data.rollout_batch_size=320':
    '320 prompts cannot be cut into mini-batches of worker.actor.global_batch_size = 256',
  'worker.actor.micro_batch_size_per_device_for_experience=3':
    '3 does not divide the 1024 samples of a step (data.rollout_batch_size x worker.rollout.n)',
  'worker.actor.micro_batch_size_per_device_for_update=3':
    '3 does not divide the 512 samples of a mini-batch (worker.actor.global_batch_size x worker.rollout.n)',
  'worker.actor.num_workers=513':
    '513 learners cannot share the 512 samples of a mini-batch (worker.actor.global_batch_size x worker.rollout.n)',
  'worker.rollout.n=1':
    'algorithm.adv_estimator = grpo compares the responses of a prompt, so it takes more than 1, got 1',
  'worker.rollout.temperature=0':
    'training divides the logits by the temperature, so it must be above 0',
  'trainer.load_checkpoint_path=runs/actor':
    'expected a folder called global_step_N, got "runs/actor"',
};

async function issuesWith(...items: readonly string[]): Promise<string[]> {
  const { issues } = await configFrom(['worker.rollout.n=2', ...items], { purpose: null });
  return issues.map(({ path, expected }) => `${path}: ${expected}`);
}

describe('a value that a run cannot be started with', () => {
  for (const [item, reason] of Object.entries(refused)) {
    it(`is refused plainly: ${item}`, async () => {
      assert.deepEqual(await issuesWith(item), [`${item.split('=')[0]}: ${reason}`]);
    });
  }

  it('is an adaptive KL without a horizon', async () => {
    assert.deepEqual(await issuesWith('algorithm.kl_type=adaptive', 'algorithm.kl_horizon=0'), [
      'algorithm.kl_horizon: algorithm.kl_type = adaptive takes a horizon above 0, got 0',
    ]);
  });

  it('has a case here for every rule', () => {
    const covered = new Set(Object.keys(refused).map((item) => item.split('=')[0]));
    covered.add('algorithm.kl_horizon');
    const keys = [...trainingRules, ...unsupported].map((rule) => rule.keys[0]);
    assert.deepEqual(
      keys.filter((key) => !covered.has(key)),
      [],
    );
  });
});
