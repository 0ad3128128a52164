import assert from 'node:assert/strict';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import { keptOnCard, memoryTable, withWayOut } from '../../../actors/trainer/card-memory.ts';
import { loadPolicy } from '../../../actors/trainer/models.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { CxmindError } from '../../../src/errors.ts';
import { goldenPath } from '../../support/golden.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { configOf } from '../effects/changes.ts';

describe('the memory of a card', () => {
  const { logger } = keepingLogger();

  const kept = async (...items: readonly string[]): Promise<Record<string, number>> => {
    await using system = new ActorSystem({ logger });
    const model = `worker.actor.model.model_path=${goldenPath('micro-vl')}`;
    const plan = planRun(await configOf(model, 'trainer.device=cuda:0', ...items));
    const policy = await loadPolicy(system, plan.policy.model);
    const count = policy.arena.layout.length;
    return Object.fromEntries(
      keptOnCard(plan, { policy, critic: null }).map(({ what, bytes }) => [what, bytes / count]),
    );
  };

  it('has weights, gradients, moments and the reference, by bytes a parameter', async () => {
    assert.deepEqual(await kept(), {
      'policy, bf16': 2,
      "policy's weights in f32": 4,
      "policy's gradients, f32": 4,
      "policy's optimizer, f32": 8,
      'reference, bf16': 2,
    });
  });

  it('has less where weights are kept in bf16, or what is not used lies elsewhere', async () => {
    const bf16 = ['worker.actor.fsdp.torch_dtype=bf16', 'worker.actor.optim.strategy=adamw_bf16'];
    assert.deepEqual(await kept(...bf16, 'algorithm.disable_kl=true'), {
      'policy, bf16': 2,
      "policy's gradients, f32": 4,
      "policy's optimizer, bf16": 6,
    });
    const offloads = ['worker.actor.offload.offload_optimizer=true', 'algorithm.disable_kl=true'];
    assert.ok(!("policy's optimizer, f32" in (await kept(...offloads))));
  });

  it('has the policy twice where rollouts run ahead, adapters alone where these are trained', async () => {
    const what = 'policy for rollouts ahead, bf16';
    const ahead = await kept('trainer.max_staleness=1');
    assert.equal(ahead[what], 2);
    const adapters = ['trainer.max_staleness=1', 'worker.actor.model.lora.rank=4'];
    const lora = await kept(...adapters);
    // Moments of the adapters alone take 8 bytes each, and their copy 2.
    assert.equal(lora[what], lora["policy's optimizer, f32"]! / 4);
  });

  it('is told in a table, and when it was too small the keys to lower are', () => {
    assert.equal(
      memoryTable('cuda:0', [{ what: 'policy, bf16', bytes: 2 ** 33 }], 5 * 2 ** 29),
      'memory of cuda:0, GiB\n' +
        '  policy, bf16                          8.00\n' +
        '  left for activations and the cache    2.50',
    );
    const error = withWayOut(new CxmindError('DEVICE_OUT_OF_MEMORY', 'the card is full'));
    assert.match(
      (error as Error).message,
      /^the card is full; lower .*gpu_memory_utilization.*trainer\.max_staleness/,
    );
    const other = new Error('x');
    assert.equal(withWayOut(other), other);
  });
});
