/** The guide from TRL: its program trains by its config, on rows and rewards in TRL's form, cut to a tiny size. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { configFrom } from '../../src/config/load.ts';
import { callOf, projectRoot } from '../support/pages.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { metricsOf, writeTinyDemo } from '../support/tiny-run.ts';

const items = callOf('examples/from-trl.md', 'train');
const hasPython = spawnSync('python3', ['--version']).status === 0;

describe('the guide from TRL', () => {
  it('has no key without effect', async () => {
    const { warnings, issues } = await configFrom(items, { purpose: null });
    assert.deepEqual([...warnings, ...issues], []);
  });

  it('has a program that trains on rows and rewards of TRL', async function () {
    if (!hasPython) this.skip();
    using folder = new TemporaryDirectory();
    const [demo, run] = [join(folder.path, 'demo'), join(folder.path, 'run')];
    await writeTinyDemo(demo);
    const tiny = [
      `data={image_dir: ${demo}, max_response_length: 8, max_pixels: 3136, num_workers: 0}`,
      `worker.actor.model.model_path=${demo}/model`,
      `trainer={max_steps: 1, save_checkpoint_path: ${run}, threads: 1, local_mode: true, device: cpu, val_freq: 0}`,
    ];
    const program = fileURLToPath(new URL('../../examples/grpo.ts', import.meta.url));
    const argv = ['--conditions=cxmind-source', program, ...items, ...tiny];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, argv, {
      cwd: projectRoot,
    });
    assert.equal(stderr, '');
    assert.match(
      stdout,
      /^step 1: reward 0\.\d{3} in .* s\n.*global_step_1\/actor\/huggingface\n$/,
    );
    const [metrics] = metricsOf(run);
    // No answer of random weights has the letter, so the reward is a tenth of how brief it is.
    assert.equal(metrics!['reward/letter/overall'], 0);
    const brief = metrics!['reward/brief/overall']!;
    assert.ok(Math.abs(metrics!['critic/rewards/mean']! - 0.1 * brief) < 1e-6 && brief > 0);
  });
});
