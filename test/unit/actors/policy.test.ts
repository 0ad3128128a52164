import assert from 'node:assert/strict';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import {
  freezeReference,
  loadPolicy,
  policyProps,
  type LoadedModel,
} from '../../../actors/trainer/models.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { PolicyWeights } from '../../../actors/weights/policy-weights.ts';
import { configFrom } from '../../../src/config/load.ts';
import type { DeviceName } from '../../../src/device/open.ts';
import type { Config } from '../../../src/config/schema.ts';
import { loraB } from '../../../src/model/adapters/adapter.ts';
import { bf16ToNumber, numberToBf16 } from '../../../src/tensor/dtype.ts';
import { effectOf } from '../../support/effect.ts';
import { goldenPath } from '../../support/golden.ts';
import { residentBytes } from '../../support/resident-memory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

const isBf16 = (value: number): boolean => value === bf16ToNumber(numberToBf16(value));

/** Loads a policy as a run does, and calls `look` while it is there. @param device of the reference */
async function withPolicy(
  items: readonly string[],
  look: (loaded: {
    config: Config;
    policy: LoadedModel;
    reference: Float32Array | null;
    /** The compute threads of its actors; undefined is one a core. */
    threads: number | undefined;
    /** True where the reference reads the very memory that the policy does. */
    isShared: boolean;
  }) => void,
  device: DeviceName = 'cpu',
): Promise<void> {
  const model = `worker.actor.model.model_path=${goldenPath('micro-vl')}`;
  const { config } = await configFrom([model, 'worker.rollout.n=2', ...items], { purpose: null });
  const { logger } = keepingLogger();
  await using system = new ActorSystem({ logger });
  const plan = planRun(config);
  const policy = await loadPolicy(system, plan.policy.model);
  await using weights = new PolicyWeights(system, policy, logger);
  const settings = plan.reference && { ...plan.reference.model, devices: [device] };
  await using frozen =
    settings && freezeReference(system, settings, policy, weights, logger, plan.reference!.moves);
  const memory = frozen && system.blocks.get(frozen.sync.markers(device).weights);
  const reference = memory && new Float32Array(memory);
  const { threads } = policyProps(policy, weights, 'cpu');
  look({ config, policy, reference, threads, isShared: memory === policy.arena.buffer });
}

describe('loadPolicy', () => {
  effectOf('algorithm.disable_kl', 'worker.ref.fsdp.torch_dtype');
  it('gives the reference a copy of weights that are trained, in the type that is asked for', async () => {
    await withPolicy([], ({ policy, reference, isShared }) => {
      assert.equal(isShared, false);
      assert.deepEqual(reference, policy.arena.data);
      assert.equal(policy.adapter, null);
      assert.deepEqual(policy.notes, []);
    });
    await withPolicy(['worker.ref.fsdp.torch_dtype=bf16'], ({ policy, reference }) => {
      assert.ok(reference!.every(isBf16));
      assert.ok(!policy.arena.data.every(isBf16));
    });
    await withPolicy(['worker.actor.fsdp.torch_dtype=bfloat16'], ({ policy }) => {
      assert.ok(policy.arena.data.every(isBf16));
    });
    await withPolicy(['algorithm.disable_kl=true'], ({ reference }) => {
      assert.equal(reference, null);
    });
  });

  it('gives a reference on a card no memory here, unless it moves or is rounded for itself', async () => {
    const isSharedWith = async (...items: readonly string[]): Promise<boolean> => {
      let found: boolean | undefined;
      await withPolicy(items, ({ isShared }) => (found = isShared), 'cuda:0');
      return found!;
    };
    const offloaded = 'worker.ref.offload.offload_params=true';
    const narrow = 'worker.ref.fsdp.torch_dtype=bf16';
    const computed = 'worker.ref.fsdp.mp_param_dtype=bf16';
    assert.equal(await isSharedWith(), true);
    assert.equal(await isSharedWith(computed, offloaded), true);
    assert.equal(await isSharedWith(narrow, computed), true);
    assert.equal(await isSharedWith(offloaded), false);
    assert.equal(await isSharedWith(narrow), false);
    assert.equal(await isSharedWith('worker.ref.sync_ref_model=true'), false);
  });

  effectOf(
    'worker.actor.fsdp.enable_cpu_offload',
    'worker.actor.offload.offload_params',
    'worker.ref.fsdp.enable_cpu_offload',
    'worker.ref.offload.offload_params',
  );
  for (const key of ['fsdp.enable_cpu_offload', 'offload.offload_params']) {
    it(`keeps weights in a file that are asked for there: worker.ROLE.${key}`, async () => {
      await withPolicy([], ({ policy, reference }) => {
        assert.equal(residentBytes(policy.arena.buffer), null);
        assert.equal(residentBytes(reference!.buffer), null);
      });
      await withPolicy([`worker.actor.${key}=true`], ({ policy, reference }) => {
        assert.equal(residentBytes(policy.arena.buffer), 0);
        assert.deepEqual(reference, policy.arena.data);
      });
      await withPolicy([`worker.ref.${key}=true`], ({ policy, reference }) => {
        assert.equal(residentBytes(reference!.buffer), 0);
        assert.deepEqual(reference!.slice(), policy.arena.data);
      });
    });
  }

  it('has the reference read the weights that adapters are trained beside', async () => {
    const items = ['worker.actor.model.lora.rank=4', 'worker.actor.fsdp.torch_dtype=bf16'];
    await withPolicy(items, ({ policy, isShared }) => {
      const { spec, arena } = policy.adapter!;
      assert.equal(isShared, true);
      assert.equal(spec.modules.length, 26);
      assert.ok(arena.data.some((value) => value !== 0) && arena.data.every(isBf16));
      assert.ok(spec.modules.every((name) => arena.tensor(loraB(name)).data.every((x) => x === 0)));
      assert.ok(!policy.arena.data.every(isBf16));
      assert.match(
        policy.notes.join(),
        /^[\d,]+ parameters are trained, [\d,]+ given, in adapters of 26 modules$/,
      );
    });
  });

  effectOf(
    'worker.actor.model.lora.rank',
    'worker.actor.model.lora.alpha',
    'worker.actor.model.lora.target_modules',
    'worker.actor.model.lora.exclude_modules',
  );
  it('has adapters of the rank, the scale and the modules that are asked for', async () => {
    const lora = 'worker.actor.model.lora';
    const items = [`${lora}.rank=4`, `${lora}.alpha=12`, `${lora}.target_modules=proj,o_proj`];
    const specOf = async (...more: readonly string[]): Promise<unknown> => {
      let spec: unknown;
      await withPolicy([...items, ...more], ({ policy }) => (spec = policy.adapter!.spec));
      return spec;
    };
    const decoder = [0, 1].map((layer) => `model.layers.${layer}.self_attn.o_proj`);
    const { modules, ...sizes } = (await specOf()) as { modules: string[] };
    assert.deepEqual(sizes, { rank: 4, alpha: 12 });
    assert.ok(modules.length > decoder.length && modules.every((name) => /proj$/.test(name)));
    assert.deepEqual(await specOf(`${lora}.exclude_modules=.*visual.*`), {
      ...sizes,
      modules: decoder,
    });
  });

  effectOf('trainer.seed');
  it('draws adapters from the seed, and divides them among the learners', async () => {
    const drawn: number[][] = [];
    for (const seed of [1, 1, 2]) {
      const items = ['worker.actor.model.lora.rank=3', 'worker.actor.num_workers=5'];
      await withPolicy([...items, `trainer.seed=${seed}`], ({ policy }) => {
        const { data } = policy.adapter!.arena;
        assert.equal(data.length % (5 * 16), 0);
        drawn.push([...data]);
      });
    }
    assert.deepEqual(drawn[0], drawn[1]);
    assert.notDeepEqual(drawn[0], drawn[2]);
  });

  effectOf('worker.actor.model.freeze_vision_tower');
  it('leaves the vision tower out of what is trained, and says so', async () => {
    const frozen = 'worker.actor.model.freeze_vision_tower=true';
    await withPolicy([frozen, 'worker.actor.num_workers=3'], ({ policy }) => {
      const { arena, frozenLength, notes } = policy;
      const names = arena.from(frozenLength).layout.entries.map(({ name }) => name);
      assert.equal(names[0], 'model.embed_tokens.weight');
      assert.equal((arena.data.length - frozenLength) % (3 * 16), 0);
      assert.equal(notes[0], 'the vision tower is frozen');
      assert.match(notes[1]!, /parameters are trained/);
    });
    await withPolicy([frozen, 'worker.actor.model.lora.rank=2'], ({ policy }) => {
      assert.equal(policy.frozenLength, 0);
      assert.ok(policy.adapter!.spec.modules.every((name) => !name.startsWith('visual.')));
    });
    const text = `worker.actor.model.model_path=${goldenPath('micro-text')}`;
    await withPolicy([text, frozen], ({ policy }) => {
      assert.deepEqual(policy.notes, ['freeze_vision_tower: the model has no vision tower']);
    });
  });

  effectOf('trainer.threads');
  it('is computed with as many threads as are asked for', async () => {
    await withPolicy([], ({ threads }) => assert.equal(threads, undefined));
    await withPolicy(['trainer.threads=3'], ({ threads }) => assert.equal(threads, 3));
  });

  it('names keys laid over the config that change nothing', async () => {
    const override = 'worker.actor.model.override_config={rope_theta: 5.0e+5, use_cache: false}';
    await withPolicy([override], ({ policy }) => {
      assert.equal(policy.config.text.ropeTheta, 5e5);
      assert.deepEqual(policy.notes, ['override_config: no effect here: use_cache']);
    });
  });
});
