import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { effectOf } from '../support/effect.ts';
import { assertClose } from '../support/assert-close.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import {
  assertSameRun,
  metricsOf,
  numbersOf,
  tinyItems,
  tinySuite,
  trainTiny,
} from '../support/tiny-run.ts';
import { configFrom } from '../../src/config/load.ts';

const summaries = ['critic/values', 'critic/advantages', 'critic/returns'];
const names = [
  ...['vf_loss', 'vf_clipfrac', 'vpred_mean', 'grad_norm', 'lr', 'vf_explained_var'].map(
    (name) => `critic/${name}`,
  ),
  ...summaries.flatMap((name) => ['mean', 'max', 'min'].map((kind) => `${name}/${kind}`)),
  ...['values', 'update_critic'].flatMap((phase) => [
    `timing_s/${phase}`,
    `timing_per_token_ms/${phase}`,
  ]),
  'perf/mfu_critic',
];

describe('a run with a critic', () => {
  const { demo, path } = tinySuite();
  /** Four steps without a stop; a checkpoint at each. The policy is held back in the first two. */
  const whole = path('whole');
  const items = [
    'algorithm.adv_estimator=gae',
    'algorithm.gamma=0.95',
    'algorithm.lam=0.9',
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
    'worker.critic.global_batch_size=2',
    'worker.critic.micro_batch_size_per_device_for_experience=4',
    'worker.critic.ppo_epochs=2',
    'worker.critic.optim.lr=1e-2',
    'worker.critic.optim.lr_warmup_steps=2',
    'trainer.critic_warmup=3',
    'trainer.val_before_train=false',
    'trainer.save_freq=1',
    'trainer.val_freq=2',
  ];
  const file = (run: string, step: number, name: string): Buffer =>
    readFileSync(join(run, `global_step_${step}`, name));
  const weights = 'huggingface/model.safetensors';

  before(async () => {
    await trainTiny(demo, whole, [...items, 'trainer.max_steps=4']);
  });

  it('reports what the critic does in every step, under the names of the reference', () => {
    const lines = metricsOf(whole);
    for (const line of lines) {
      for (const name of names)
        assert.equal(typeof line[name], 'number', `${name}: ${String(line[name])}`);
    }
    // The rate that is logged is the next step's: warm-up over two steps, then all of it.
    assertClose(
      lines.map((line) => line['critic/lr']!),
      [5e-3, 1e-2, 1e-2, 1e-2],
      { rtol: 1e-9 },
    );
    assert.deepEqual(lines[0]!['critic/vf_clipfrac'], 0, 'at a rate of 0 nothing moves');
    assert.ok(lines[1]!['critic/vpred_mean'] !== lines[1]!['critic/values/mean']);
  });

  effectOf('trainer.critic_warmup');
  it('holds the policy back until the critic has warmed up', () => {
    const lines = metricsOf(whole);
    const policy = ['actor/pg_loss', 'actor/lr', 'timing_s/update_actor', 'perf/mfu_actor'];
    for (const [i, line] of lines.entries()) {
      const has = policy.map((name) => name in line);
      assert.deepEqual(
        has,
        policy.map(() => i + 1 >= 3),
        `step ${i + 1}`,
      );
    }
    const start = readFileSync(join(demo, 'model/model.safetensors'));
    assert.ok(file(whole, 2, `actor/${weights}`).equals(start));
    assert.ok(!file(whole, 3, `actor/${weights}`).equals(start));
    assert.ok(!file(whole, 2, `critic/${weights}`).equals(file(whole, 1, `critic/${weights}`)));
  });

  it('ends, when it was resumed, with the bytes of a run that never stopped', async () => {
    const run = path('halves');
    await trainTiny(demo, run, [...items, 'trainer.max_steps=2']);
    await trainTiny(demo, run, [...items, 'trainer.max_steps=4']);
    assertSameRun(run, whole, [
      'global_step_4/actor/huggingface/model.safetensors',
      'global_step_4/actor/optimizer.safetensors',
      'global_step_4/critic/huggingface/model.safetensors',
      'global_step_4/critic/optimizer.safetensors',
    ]);
  });

  it('has the numbers of one critic when two share every mini-batch, and leaves no thread', async () => {
    using workers = new LivingWorkers();
    const run = path('two');
    const two = ['trainer.max_steps=4', 'worker.actor.num_workers=2', 'trainer.save_freq=4'];
    await trainTiny(demo, run, [...items, ...two]);
    for (const name of ['vf_loss', 'vpred_mean', 'vf_explained_var'].map((n) => `critic/${n}`)) {
      const [got, wanted] = [run, whole].map((one) => numbersOf(one).map((line) => line[name]!));
      assertClose(got!, wanted!, { atol: 1e-4 }, name);
    }
    assert.deepEqual(workers.names, []);
  });

  it('takes the policy’s model for the critic’s, and names its keys only where there is none', async () => {
    const options = { purpose: 'train' } as const;
    const { config, warnings } = await configFrom(tinyItems(demo, whole, items), options);
    assert.equal(config.worker.critic.model.modelPath, join(demo, 'model'));
    assert.equal(config.worker.critic.globalBatchSizePerDevice, 4);
    assert.doesNotMatch(warnings.join(), /critic/);
    const without = [...items.slice(1), 'worker.critic.padding_free=true'];
    const other = await configFrom(tinyItems(demo, whole, without), options);
    assert.equal(other.config.worker.critic.model.modelPath, null);
    assert.match(other.warnings.join(), /worker\.critic\.optim\.lr/);
    assert.match(other.warnings.join(), /worker\.critic\.padding_free/);
  });
});
