import assert from 'node:assert/strict';
import { readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { endedStages, noteEnded } from '../../../actors/run-folder/ended-stages.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('the stages that have ended', () => {
  let temporary: TemporaryDirectory;
  beforeEach(() => (temporary = new TemporaryDirectory()));
  afterEach(() => temporary[Symbol.dispose]());
  const path = (...names: string[]): string => join(temporary.path, ...names);
  const stage = (name: string, checkpoint: string | null) => ({
    ...{ name, checkpoint, steps: 3, seconds: 1.5 },
    ...{ val_accuracy_before: null, val_accuracy_after: 0.5 },
  });

  it('have their checkpoints where the folder is, after it was moved too', async () => {
    const inside = (run: string): string => path(run, '1-closed/global_step_3/actor/huggingface');
    const ended = [stage('closed', inside('run')), stage('seen', null)];
    await noteEnded(path('run'), ended);
    assert.deepEqual(await endedStages(path('run'), ['closed', 'seen', 'open']), ended);
    renameSync(path('run'), path('moved'));
    assert.ok(!readFileSync(path('moved/curriculum.json'), 'utf8').includes(temporary.path));
    const [first] = await endedStages(path('moved'), ['closed', 'seen', 'open']);
    assert.equal(first!.checkpoint, inside('moved'));
  });

  it('have the checkpoints of a file that names them by whole paths', async () => {
    temporary.write('curriculum.json', JSON.stringify([stage('closed', '/elsewhere/huggingface')]));
    const [first] = await endedStages(temporary.path, ['closed']);
    assert.equal(first!.checkpoint, '/elsewhere/huggingface');
  });

  it('are none without a file, and refused where it is none of a curriculum', async () => {
    assert.deepEqual(await endedStages(temporary.path, ['closed']), []);
    const refused = { code: 'CHECKPOINT_INVALID', message: /expected the list of stages/ };
    symlinkSync('/dev/zero', path('curriculum.json'));
    await assert.rejects(endedStages(temporary.path, ['closed']), refused);
  });
});
