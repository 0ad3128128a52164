import assert from 'node:assert/strict';
import {
  changeLines,
  configChanges,
  refuseMisfits,
} from '../../../actors/run-folder/config-changes.ts';
import { configFrom } from '../../../src/config/load.ts';
import { Config } from '../../../src/config/schema.ts';

async function treeOf(...items: readonly string[]): Promise<Record<string, unknown>> {
  const own = ['trainer.save_checkpoint_path=/runs/a', 'worker.actor.model.model_path=/models/m'];
  const { config } = await configFrom([...own, ...items], { purpose: null, cwd: '/' });
  return Config.encode(config);
}

async function changesFor(...items: readonly string[]): Promise<ReturnType<typeof configChanges>> {
  return configChanges(await treeOf(), await treeOf(...items));
}

describe('what a run does otherwise than before', () => {
  it('is each key with both values, once, in the spelling of the file', async () => {
    const changes = await changesFor(
      'trainer.max_steps=5',
      'algorithm.kl_coef=0.5',
      'data.max_response_length=64',
      'worker.actor.optim.betas=[0.8, 0.9]',
    );
    assert.deepEqual(changeLines(changes), [
      '  data.max_response_length: 512 before, 64 now',
      '  algorithm.kl_coef: 0.001 before, 0.5 now',
      '  worker.actor.optim.betas: [0.9,0.999] before, [0.8,0.9] now',
      '  trainer.max_steps: null before, 5 now',
    ]);
  });

  it('is nothing where only the folder is another, with what is inside it', async () => {
    const stage = (run: string): string[] => [
      `trainer.save_checkpoint_path=${run}/2-open`,
      `worker.actor.model.model_path=${run}/1-closed/global_step_5/actor/huggingface`,
    ];
    const [before, after] = [await treeOf(...stage('/runs/a')), await treeOf(...stage('/old/b'))];
    assert.deepEqual(configChanges(before, after), []);
    for (const item of ['trainer.find_last_checkpoint=false', 'trainer.profile=3']) {
      assert.deepEqual(await changesFor(item), []);
    }
  });

  it('leaves out keys that only one version has', async () => {
    const { algorithm: _, ...older } = await treeOf();
    assert.deepEqual(configChanges(older, await treeOf()), []);
  });

  const misfits: readonly (readonly [string, boolean])[] = [
    ['worker.actor.model.model_path=/models/n', false],
    ['worker.actor.model.lora.rank=8', false],
    ['worker.actor.model.freeze_vision_tower=true', false],
    ['worker.actor.optim.strategy=adamw_bf16', false],
    ['algorithm.adv_estimator=gae', true],
    ['worker.critic.model.model_path=/models/n', true],
  ];
  for (const [item, hasCritic] of misfits) {
    it(`refuses to go on with ${item}`, async () => {
      const changes = await changesFor(item);
      assert.throws(() => refuseMisfits(changes, '/runs/a/global_step_3', hasCritic), {
        code: 'CHECKPOINT_INVALID',
        message: new RegExp(
          `^/runs/a/global_step_3 is of another training: .*${item.split('=')[0]}: .* now.*; name another folder by ` +
            'trainer\\.save_checkpoint_path .* by trainer\\.load_checkpoint_path=/runs/a/global_step_3$',
        ),
      });
    });
  }

  it('refuses nothing that weights and moments do not depend on', async () => {
    const changes = await changesFor(
      'trainer.max_steps=5',
      'algorithm.adv_estimator=rloo',
      'worker.actor.optim.lr=1e-3',
      'worker.critic.model.model_path=/models/n',
    );
    assert.equal(changes.length, 4);
    refuseMisfits(changes, '/runs/a/global_step_3', false);
  });
});
