import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelIn } from '../../../src/hub/run-folder.ts';
import { directoryForEach } from '../../support/temporary-directory.ts';

describe("a model in a run's folder", () => {
  const folder = directoryForEach();

  /** Makes the folder of a model, as a run leaves it. */
  function saved(...parts: string[]): string {
    const directory = join(folder.path, ...parts, 'huggingface');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'config.json'), '{}');
    return directory;
  }

  /** Writes what every run's folder has: the run's own config, which is no model's. */
  function run(best: unknown): void {
    folder.write('config.json', '{}');
    folder.write('checkpoint_tracker.json', JSON.stringify({ best_global_step: best }));
  }

  it('is that of the best step, whichever is the newest', () => {
    run(9);
    const best = saved('global_step_9', 'actor');
    saved('global_step_10', 'actor');
    assert.equal(modelIn(folder.path, 'actor'), best);
  });

  it('is that of the newest whole step where the best is gone or the tracker tells nothing', () => {
    const newest = saved('global_step_10', 'actor');
    saved('global_step_9', 'actor');
    mkdirSync(join(folder.path, 'global_step_11'));
    for (const best of [4, 'x', null]) {
      run(best);
      assert.equal(modelIn(folder.path, 'actor'), newest);
    }
    folder.write('checkpoint_tracker.json', 'not JSON');
    assert.equal(modelIn(folder.path, 'actor'), newest);
  });

  it('is found from the folder of a step, and from the one above it', () => {
    const model = saved('global_step_3', 'actor');
    assert.equal(modelIn(join(folder.path, 'global_step_3'), 'actor'), model);
    assert.equal(modelIn(join(folder.path, 'global_step_3', 'actor'), 'actor'), model);
    assert.equal(modelIn(model, 'actor'), model);
  });

  it("is that of a curriculum's latest stage with a checkpoint", () => {
    saved('2-closed', 'global_step_7', 'actor');
    const latest = saved('10-open', 'global_step_5', 'actor');
    mkdirSync(join(folder.path, '11-more'));
    run(7);
    assert.equal(modelIn(folder.path, 'actor'), latest);
  });

  it('is the critic where that is asked for and there', () => {
    const actor = saved('global_step_3', 'actor');
    assert.equal(modelIn(folder.path, 'critic'), actor);
    const critic = saved('global_step_3', 'critic');
    assert.equal(modelIn(folder.path, 'critic'), critic);
    assert.equal(modelIn(folder.path, 'actor'), actor);
  });

  it('is missed where no step holds one, and any other folder is as it is', () => {
    assert.equal(modelIn(folder.path, 'actor'), folder.path);
    mkdirSync(join(folder.path, 'global_step_1'));
    const message = `${folder.path}: no global_step_N in it holds actor/huggingface/config.json`;
    assert.throws(() => modelIn(folder.path, 'actor'), { code: 'CHECKPOINT_INVALID', message });
  });
});
