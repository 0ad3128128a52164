/** The guide from EasyR1: its call trains on its config, data, prompt frame and reward, cut to a tiny size. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configFrom } from '../../src/config/load.ts';
import { blockOf, callOf } from '../support/pages.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { metricsOf, trainItems, writeTinyDemo } from '../support/tiny-run.ts';

const page = 'examples/from-easyr1.md';
const hasPython = spawnSync('python3', ['--version']).status === 0;

describe('the guide from EasyR1', () => {
  it('quotes the warning of keys without effect', async () => {
    const { warnings } = await configFrom(callOf(page, 'train'), { purpose: null });
    assert.ok(warnings.includes(blockOf(page, 'text', 'Try it').trimEnd()), warnings.join('\n'));
  });

  it('has a project that trains as it is', async function () {
    if (!hasPython) this.skip();
    using folder = new TemporaryDirectory();
    const [demo, run] = [join(folder.path, 'demo'), join(folder.path, 'run')];
    await writeTinyDemo(demo);
    const summary = await trainItems([
      ...callOf(page, 'train'),
      `data={image_dir: ${demo}, max_response_length: 8, max_pixels: 3136}`,
      `worker.actor.model.model_path=${demo}/model`,
      `trainer={max_steps: 1, save_checkpoint_path: ${run}, threads: 1, local_mode: true, device: cpu, val_before_train: false}`,
    ]);
    assert.equal(summary.steps, 1);
    const [metrics] = metricsOf(run);
    for (const part of ['overall', 'format', 'accuracy']) assert.ok(`reward/${part}` in metrics!);
    assert.match(
      readFileSync(join(run, 'generations.jsonl'), 'utf8'),
      /Think first, inside <think>/,
    );
    for (const left of ['wandb', 'global_step_1/actor/huggingface/model.safetensors']) {
      assert.ok(existsSync(join(run, left)), left);
    }
  });
});
