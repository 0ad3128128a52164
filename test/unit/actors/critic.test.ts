import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CriticActor } from '../../../actors/critic/actor.ts';
import type { ValueExperienceMessage } from '../../../actors/critic/protocol.ts';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import { loadCritic, type LoadedModel } from '../../../actors/trainer/models.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { criticSettings } from '../../../actors/trainer/settings.ts';
import { configFrom } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { readSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import {
  loadValueCheckpoint,
  saveValueCheckpoint,
} from '../../../src/model/checkpoint/value-checkpoint.ts';
import { Network } from '../../../src/model/network.ts';
import { openDevice } from '../../../src/device/open.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { SharedVersion, VERSION_BYTES } from '../../../transport/shared/version.ts';
import { effectOf } from '../../support/effect.ts';
import { goldenPath } from '../../support/golden.ts';
import { goldenSequences } from '../../support/golden-model.ts';
import { residentBytes } from '../../support/resident-memory.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const model = 'worker.critic.model';
const frozen = `${model}.freeze_vision_tower=true`;

/** Loads a critic as a run does, and calls `look` while it is there. */
async function withCritic(
  items: readonly string[],
  look: (critic: LoadedModel, config: Config) => unknown,
): Promise<void> {
  const path = `worker.actor.model.model_path=${goldenPath('micro-vl')}`;
  const usual = [path, 'algorithm.adv_estimator=gae'];
  const { config } = await configFrom([...usual, ...items], { purpose: null });
  await using system = new ActorSystem();
  await look(await loadCritic(system, planRun(config).critic!.model), config);
}

describe('loadCritic', () => {
  it('is nobody where no values are wanted', async () => {
    const { config } = await configFrom([], { purpose: null });
    assert.equal(planRun(config).critic, null);
  });

  effectOf('worker.critic.model.freeze_vision_tower');
  it('leaves the vision tower out of what is trained, and says so', async () => {
    await withCritic([frozen, 'worker.actor.num_workers=3'], ({ arena, frozenLength, notes }) => {
      const names = arena.from(frozenLength).layout.entries.map(({ name }) => name);
      assert.equal(names[0], 'model.embed_tokens.weight');
      assert.ok(names.includes('score.weight'));
      assert.equal((arena.data.length - frozenLength) % (3 * 16), 0);
      assert.equal(notes[0], 'critic: the vision tower is frozen');
      assert.match(notes[1]!, /^critic: [\d,]+ parameters are trained, [\d,]+ given$/);
    });
    await withCritic([], ({ frozenLength, isVisionFixed, notes }) => {
      assert.deepEqual([frozenLength, isVisionFixed, notes], [0, false, []]);
    });
  });

  effectOf('worker.critic.fsdp.enable_cpu_offload', 'worker.critic.offload.offload_params');
  for (const key of ['fsdp.enable_cpu_offload', 'offload.offload_params']) {
    it(`has its weights in a file where that is asked for: worker.critic.${key}`, async () => {
      await withCritic([], ({ arena }) => assert.equal(residentBytes(arena.buffer), null));
      await withCritic([`worker.critic.${key}=true`], ({ arena }) => {
        assert.equal(residentBytes(arena.buffer), 0);
      });
    });
  }

  effectOf('worker.critic.model.model_path');
  it('begins with the value model it is given, and else with the policy and a new head', async () => {
    using temporary = new TemporaryDirectory();
    const given = join(temporary.path, 'given');
    await withCritic([], async ({ directory, arena }) => {
      assert.equal(directory, goldenPath('micro-vl'));
      arena.tensor('score.weight').data.fill(3);
      await saveValueCheckpoint(given, { from: directory, arena });
    });
    await withCritic([`${model}.model_path=${given}`], ({ directory, arena }) => {
      assert.equal(directory, given);
      assert.ok(arena.tensor('score.weight').data.every((value) => value === 3));
    });
  });

  effectOf('worker.critic.model.override_config');
  it('lays keys over the config, and names those that change nothing', async () => {
    const over = `${model}.override_config={rope_theta: 5.0e+5, use_cache: false, initializer_range: 2.0}`;
    await withCritic([over], ({ config, arena, notes }) => {
      assert.equal(config.text.ropeTheta, 5e5);
      assert.deepEqual(notes, ['critic: override_config: no effect here: use_cache']);
      // A head of 0.02 has no number near 1.
      assert.ok(Math.max(...arena.tensor('score.weight').data) > 1);
    });
    await assert.rejects(
      withCritic([`${model}.override_config={rope_teta: 1}`], () => undefined),
      { code: 'CONFIG_INVALID', message: /^worker\.critic\.model\.override_config\.rope_teta: / },
    );
  });
});

describe('a critic with a frozen vision tower', () => {
  const sequences = goldenSequences().slice(0, 3);

  it('has the gradients of one without, but for the tower’s', async () => {
    using device = openDevice({ threads: 1 });
    await withCritic([frozen], async ({ config, arena, frozenLength }) => {
      using critic = new Network(device, config, arena, 'value', { gradientCheckpointing: false });
      const [whole, text] = [arena.twin(), arena.from(frozenLength).twin()];
      for (const gradients of [whole, text]) {
        const slopes = (values: Float32Array): Float32Array => values.map((_, t) => Math.sin(t));
        await critic.accumulateGradients(packSequences(sequences), 1, slopes, gradients);
      }
      for (const { name } of text.layout.entries) {
        assert.deepEqual(text.tensor(name).data, whole.tensor(name).data, name);
      }
    });
  });

  effectOf('worker.critic.model.override_config', 'worker.critic.model.freeze_vision_tower');
  it('steps everything else, keeps no moments for it, and saves its config', async () => {
    using temporary = new TemporaryDirectory();
    const items = [frozen, `${model}.override_config={rms_norm_eps: 0.5}`];
    await withCritic(items, async (critic, config) => {
      const { arena, frozenLength, isVisionFixed, overrides } = critic;
      const before = arena.data.slice();
      const version = new SharedArrayBuffer(VERSION_BYTES);
      new SharedVersion(version).publish(1);
      const shared = { layout: arena.layout, weights: arena.buffer, version };
      const props = {
        ...criticSettings(config),
        model: { config: critic.config, ...shared, frozenLength, isVisionFixed, threads: 1 },
        modelPath: critic.directory,
        overrides,
        rank: { kind: 'alone' },
        sharesWeights: true,
      } as const;
      await using actor = await new CriticActor(props).start();
      const context = { signal: new AbortController().signal } as never;
      const samples = sequences.map(({ prompt, response }) => {
        const oldValues = zeros('f32', [response.data.length]);
        const returns = { ...oldValues, data: oldValues.data.map(() => 1) };
        return { prompt: { ...prompt, grids: [...prompt.grids] }, response, oldValues, returns };
      });
      const miniBatches = [
        {
          samples: samples as ValueExperienceMessage[],
          responseTokens: 60,
          sequences: samples.length,
        },
      ];
      const progress = zeros('i32', [1]);
      await actor.update({ miniBatches, learningRate: 1e-2, progress }, context);
      assert.deepEqual(arena.data.subarray(0, frozenLength), before.subarray(0, frozenLength));
      assert.notDeepEqual(arena.data.subarray(frozenLength), before.subarray(frozenLength));

      const directory = join(temporary.path, 'critic');
      await actor.save({ directory, modelOnly: false }, context);
      const state = await readSafetensors(join(directory, 'optimizer.safetensors'));
      const { length } = state.get('m')!.data;
      assert.ok(length <= arena.data.length - frozenLength, `${length} moments`);
      const saved = join(directory, 'huggingface');
      const again = await loadValueCheckpoint(saved, { seed: 1 });
      assert.equal(again.config.text.rmsNormEps, 0.5);
      assert.match(readFileSync(join(saved, 'config.json'), 'utf8'), /"rms_norm_eps": 0\.5/);
      assert.deepEqual(again.arena.tensor('score.weight'), arena.tensor('score.weight'));
    });
  });
});
