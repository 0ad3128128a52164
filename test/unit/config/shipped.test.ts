import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { configFrom, type LoadOptions } from '../../../src/config/load.ts';
import { builtInRewards } from '../../../src/reward/registry.ts';

const packageRoot = join(import.meta.dirname, '../../..');
const options: LoadOptions = { purpose: null, packageRoot, rewards: builtInRewards };

describe('a shipped config', () => {
  const files = readdirSync(join(packageRoot, 'configs'));
  // That one is a table of machines, which `cxmind plan` reads.
  for (const name of files.filter((file) => file.endsWith('.yaml') && file !== 'machines.yaml')) {
    it(`${name} is one that can be trained from`, async () => {
      const { issues, warnings } = await configFrom([`config=configs/${name}`], options);
      assert.deepEqual([...issues, ...warnings], []);
    });
  }

  it('is found from any working directory', async () => {
    const elsewhere = { ...options, cwd: '/' };
    const { config } = await configFrom(['config=configs/cx-open.yaml'], elsewhere);
    assert.equal(config.worker.reward.rewardFunction, 'open');
  });

  it('of a CX-Mind stage holds the settings of the paper', async () => {
    for (const [stage, epochs] of [
      ['closed', 1],
      ['open', 2],
    ] as const) {
      const { config } = await configFrom([`config=configs/cx-${stage}.yaml`], options);
      const { actor, rollout, reward } = config.worker;
      assert.equal(reward.rewardFunction, stage);
      assert.equal(config.trainer.totalEpochs, epochs);
      assert.equal(config.data.rolloutBatchSize * rollout.n, 640);
      assert.equal(actor.globalBatchSizePerDevice, 160);
      assert.deepEqual([rollout.temperature, rollout.topP], [1, 0.99]);
      assert.deepEqual(actor.optim.betas, [0.9, 0.999]);
      assert.deepEqual(
        [actor.optim.lr, actor.optim.weightDecay, actor.maxGradNorm],
        [1e-6, 0.01, 1],
      );
      assert.deepEqual(
        [actor.clipRatioLow, actor.clipRatioHigh, actor.clipRatioDual],
        [0.2, 0.3, 3],
      );
      assert.deepEqual(
        [actor.useKlLoss, actor.klPenalty, actor.klCoef],
        [true, 'low_var_kl', 0.01],
      );
    }
  });
});
