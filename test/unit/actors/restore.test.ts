import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { restore } from '../../../actors/run-folder/checkpoints.ts';
import { initialAdvanceState } from '../../../src/training/advance.ts';
import { effectOf } from '../../support/effect.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const saved = {
  step: 4,
  cursor: { epoch: 1, position: 2 },
  gate: { ema: null },
  validationGate: { ema: 0.5 },
  klController: { kind: 'fixed', coef: 0.1 },
  entropyCoeff: 0.02,
  advance: initialAdvanceState,
  replay: [],
};

describe('a checkpoint that a run goes on from', () => {
  let temporary: TemporaryDirectory;
  let folder: string;
  let restored: string[];
  const model = {
    restore: ({ directory }: { directory: string }) => {
      restored.push(directory);
      return Promise.resolve();
    },
  };
  const restoreWith = (critics: typeof model | null, from = folder): ReturnType<typeof restore> =>
    restore(from, { learners: model, critics, reference: { weights: model } } as never);
  const invalid = (message: RegExp): object => ({ code: 'CHECKPOINT_INVALID', message });

  beforeEach(() => {
    temporary = new TemporaryDirectory();
    folder = join(temporary.path, 'global_step_4');
    restored = [];
    mkdirSync(join(folder, 'actor'), { recursive: true });
    temporary.write('global_step_4/trainer.json', JSON.stringify({ ...saved, unfinished: null }));
    temporary.write('global_step_4/actor/optimizer.safetensors', '');
  });
  afterEach(() => temporary[Symbol.dispose]());

  it('says where it stood, and has its models restored', async () => {
    const { step, ...state } = saved;
    const point = { step, state, unfinished: null, accuracyBefore: null };
    assert.deepEqual(await restoreWith(null), point);
    assert.deepEqual(restored, [join(folder, 'actor')]);
    mkdirSync(join(folder, 'critic'));
    temporary.write('global_step_4/critic/optimizer.safetensors', '');
    await restoreWith(model);
    assert.deepEqual(
      restored.slice(1),
      ['actor', 'critic'].map((name) => join(folder, name)),
    );
  });

  it('has a reference restored that had moved', async () => {
    mkdirSync(join(folder, 'reference'));
    await restoreWith(null);
    assert.deepEqual(
      restored,
      ['actor', 'reference'].map((name) => join(folder, name)),
    );
  });

  it('is refused to a run with a critic that it does not have', async () => {
    await assert.rejects(
      restoreWith(model),
      invalid(/global_step_4 has no critic: it was saved by a run without one$/),
    );
  });

  effectOf('trainer.save_model_only');
  it('is refused where it is of weights alone, with what to do with it', async () => {
    mkdirSync(join(temporary.path, 'global_step_5/actor'), { recursive: true });
    temporary.write('global_step_5/trainer.json', JSON.stringify(saved));
    await assert.rejects(
      restoreWith(null, join(temporary.path, 'global_step_5')),
      invalid(
        /global_step_5 was saved with save_model_only .*actor\/huggingface as worker\.actor\.model\.model_path/,
      ),
    );
  });

  it('is refused where it is called otherwise, or its file is damaged', async () => {
    await assert.rejects(restoreWith(null, temporary.path), invalid(/called global_step_N/));
    const broken = { ...saved, klController: { kind: 'fixed' } };
    temporary.write('global_step_4/trainer.json', JSON.stringify(broken));
    await assert.rejects(
      restoreWith(null),
      invalid(/trainer\.json: klController\.coef: expected number/),
    );
    temporary.write('global_step_4/trainer.json', '{');
    await assert.rejects(restoreWith(null), invalid(/trainer\.json: .*JSON/));
    assert.deepEqual(restored, []);
  });
});
