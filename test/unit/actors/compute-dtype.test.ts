import assert from 'node:assert/strict';
import { SharedWeights, type ModelProps } from '../../../actors/model-props.ts';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import {
  freezeReference,
  loadCritic,
  loadPolicy,
  modelProps,
  policyProps,
} from '../../../actors/trainer/models.ts';
import { planRun, type RunPlan } from '../../../actors/trainer/plan.ts';
import { WeightsActor, type WeightsProps } from '../../../actors/weights/actor.ts';
import { PolicyWeights } from '../../../actors/weights/policy-weights.ts';
import { WeightSync } from '../../../actors/weights/sync.ts';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import type { AnyArena } from '../../../src/model/weights/device-arena.ts';
import { nearestIn, type FloatDType } from '../../../src/tensor/dtype.ts';
import { floatsOf } from '../../../src/tensor/numbers.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { VERSION_BYTES } from '../../../transport/shared/version.ts';
import { effectOf } from '../../support/effect.ts';
import { goldenPath } from '../../support/golden.ts';
import { FarDevice } from '../../support/far-device.ts';
import { residentBytes } from '../../support/resident-memory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { configOf } from '../effects/changes.ts';

const planOf = async (...items: readonly string[]): Promise<RunPlan> =>
  planRun(await configOf(...items));

const model = `worker.actor.model.model_path=${goldenPath('micro-vl')}`;
const param = (role: string, value: string): string =>
  `worker.${role}.fsdp.mp_param_dtype=${value}`;

/** Asserts that a working copy is of a dtype, and has the weights, rounded to it. */
function assertCopyOf(weights: Arena, copy: AnyArena, dtype: FloatDType): void {
  assert.ok(copy instanceof Arena);
  assert.equal(copy.dtype, dtype);
  assert.deepEqual(
    floatsOf(copy.flat),
    weights.data.map((value) => nearestIn(dtype, value)),
  );
}

describe('mp_param_dtype', () => {
  const { logger } = keepingLogger();
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  for (const role of ['actor', 'critic'] as const) {
    effectOf(`worker.${role}.fsdp.mp_param_dtype`);
    it(`is what the ${role} and all who read its weights compute in`, async () => {
      for (const [name, dtype] of Object.entries({ float32: 'f32', bfloat16: 'bf16' } as const)) {
        await using own = new ActorSystem({ logger });
        const plan = await planOf(model, param(role, name), 'algorithm.adv_estimator=gae');
        const loaded =
          role === 'actor'
            ? await loadPolicy(own, plan.policy.model)
            : await loadCritic(own, plan.critic!.model);
        await using sync = new WeightSync(own, role === 'actor' ? 'policy' : role, loaded, logger);
        sync.publish(1);
        const props = own.blocks.resolve(modelProps(loaded, sync, 'cpu')) as ModelProps;
        const { arena, working, trained } = new SharedWeights(device, props);
        assertCopyOf(arena, working.arena, dtype);
        // In float32 there is no copy.
        assert.equal(working.arena === arena && working.trained === trained, dtype === 'f32');
      }
    });
  }

  effectOf('worker.ref.fsdp.mp_param_dtype');
  it('is what the reference computes in, the policy’s unless it has its own', async () => {
    for (const [item, dtype] of [
      [param('ref', 'float16'), 'f16'],
      [param('ref', 'fp32'), 'f32'],
      ['worker.ref.fsdp.torch_dtype=null', 'bf16'],
    ] as const) {
      await using own = new ActorSystem({ logger });
      const plan = await planOf(model, param('actor', 'bf16'), item);
      const policy = await loadPolicy(own, plan.policy.model);
      await using weights = new PolicyWeights(own, policy, logger);
      await using frozen = freezeReference(
        own,
        plan.reference!.model,
        policy,
        weights,
        logger,
        false,
      );
      const props = own.blocks.resolve(modelProps(policy, frozen.sync, 'cpu')) as ModelProps;
      const { arena, working } = new SharedWeights(device, props);
      assertCopyOf(arena, working.arena, dtype);
      policy.arena.data.forEach((value, i, all) => (all[i] = value + 0.125));
      await frozen.mix(1);
      assert.deepEqual(arena.data, policy.arena.data);
      assertCopyOf(arena, working.arena, dtype);
    }
  });

  /** The policy's weights as an actor has them. */
  const policyOf = async (...items: readonly string[]): Promise<SharedWeights> => {
    await using system = new ActorSystem({ logger });
    const plan = await planOf(model, ...items);
    const policy = await loadPolicy(system, plan.policy.model);
    await using weights = new PolicyWeights(system, policy, logger);
    weights.trained.publish(1);
    const props = system.blocks.resolve(policyProps(policy, weights, 'cpu'));
    return new SharedWeights(device, props as ModelProps);
  };

  it('has adapters in it, and the weights beside them', async () => {
    const lora = 'worker.actor.model.lora.rank=4';
    const { arena, adapter, working } = await policyOf(param('actor', 'bf16'), lora);
    assertCopyOf(arena, working.arena, 'bf16');
    assertCopyOf(adapter!.arena, working.adapter!.arena, 'bf16');
    assert.equal(working.trained, working.adapter!.arena);
  });

  it('has a copy of what is trained beside a frozen vision tower', async () => {
    const frozen = 'worker.actor.model.freeze_vision_tower=true';
    const { arena, trained, working } = await policyOf(param('actor', 'bf16'), frozen);
    assert.ok(trained.layout.length < arena.layout.length);
    assertCopyOf(trained, working.trained, 'bf16');
    assertCopyOf(arena, working.arena, 'bf16');
  });

  it('has a copy in a file where the weights lie in one', async () => {
    const offloaded = 'worker.actor.offload.offload_params=true';
    const { arena, working } = await policyOf(param('actor', 'bf16'), offloaded);
    assert.ok(working.arena instanceof Arena);
    for (const { buffer } of [arena, working.arena]) assert.equal(residentBytes(buffer), 0);
    assertCopyOf(arena, working.arena, 'bf16');
  });

  it('has whole copies on a card before a learner steps anything of them', async () => {
    using far = new FarDevice();
    const assertHas = async ({ flat }: AnyArena, { data }: Arena): Promise<void> => {
      assert.ok('device' in flat);
      const held = floatsOf(await far.download(flat));
      assert.deepEqual(
        held,
        data.map((value) => nearestIn('bf16', value)),
      );
    };
    for (const rank of [0, 4]) {
      await using own = new ActorSystem({ logger });
      const lora = `worker.actor.model.lora.rank=${rank}`;
      const plan = await planOf(model, 'trainer.device=cuda:0', lora);
      const policy = await loadPolicy(own, plan.policy.model);
      await using weights = new PolicyWeights(own, policy, logger);
      const props = own.blocks.resolve(policyProps(policy, weights, 'cuda:0'));
      const shared = new SharedWeights(far, props as ModelProps);
      await shared.handOver();
      await assertHas(shared.working.arena, shared.arena);
      if (rank > 0) await assertHas(shared.working.trained, shared.trained);
    }
  });

  it('has a copy in the host’s memory, in no file, where weights are offloaded from a card', async () => {
    await using own = new ActorSystem({ logger });
    for (const [items, working] of [
      [[], { dtype: 'bf16', $shared: 'cuda:0/policy/bf16' }],
      [
        ['worker.actor.offload.offload_params=true'],
        { dtype: 'bf16', $shared: 'weights/policy/bf16' },
      ],
      [['worker.actor.fsdp.enable_cpu_offload=true', param('actor', 'fp32')], null],
    ] as const) {
      const plan = await planOf(model, 'trainer.device=cuda:0', ...items);
      const policy = await loadPolicy(own, plan.policy.model);
      await using weights = new PolicyWeights(own, policy, logger);
      const { weights: block, working: found } = weights.trained.markers('cuda:0');
      assert.equal(block.isInFile, false);
      if (working === null) assert.equal(found, undefined);
      else {
        const marker = 'onDevice' in found! ? found.onDevice : found!.weights;
        assert.equal(found!.dtype, working.dtype);
        assert.ok(marker.$shared.startsWith(working.$shared), marker.$shared);
        assert.equal(marker.isInFile ?? false, false);
      }
    }
  });

  it('is what weights are converted to where they arrive', () => {
    const blocks = {
      weights: new SharedArrayBuffer(4 * 32),
      version: new SharedArrayBuffer(VERSION_BYTES),
      working: { dtype: 'bf16', weights: new SharedArrayBuffer(2 * 32) },
    } satisfies WeightsProps;
    const keeper = new WeightsActor(blocks);
    const values = zeros('f32', [5]);
    values.data.set([1.001, -2.01, 3.3e38, 1e-40, 0.1]);
    keeper.revise();
    keeper.write({ offset: 7, values });
    const copy = {
      dtype: 'bf16',
      shape: [32],
      data: new Uint16Array(blocks.working.weights),
    } as const;
    assert.deepEqual(
      [...floatsOf(copy)],
      Array.from({ length: 32 }, (_, i) => nearestIn('bf16', values.data[i - 7] ?? 0)),
    );
    assert.deepEqual([...new Float32Array(blocks.weights, 4 * 7, 5)], [...values.data]);
  });
});
