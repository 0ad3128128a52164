import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoints } from '../../../actors/run-folder/checkpoints.ts';
import { RunFiles, setAside } from '../../../actors/run-folder/files.ts';
import { writeSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { initialAdvanceState } from '../../../src/training/advance.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('the checkpoint that a run goes on from', () => {
  let temporary: TemporaryDirectory;
  let run: string;
  let problems: string[];
  const folder = (step: number): string => join(run, `global_step_${step}`);
  const state = (step: number): string => join(folder(step), 'actor/optimizer.safetensors');
  const newest = (): Promise<string | null> =>
    new Checkpoints(run, { limit: -1, modelOnly: false }).newest((text) => problems.push(text));
  const nothing = (message: RegExp): object => ({ code: 'CHECKPOINT_INVALID', message });

  beforeEach(async () => {
    temporary = new TemporaryDirectory();
    run = temporary.path;
    problems = [];
    for (const step of [2, 9, 10]) {
      mkdirSync(join(folder(step), 'actor'), { recursive: true });
      const saved = {
        step,
        cursor: { epoch: 0, position: step },
        gate: { ema: null },
        validationGate: { ema: null },
        klController: { kind: 'fixed', coef: 0.1 },
        advance: initialAdvanceState,
        replay: [],
      };
      temporary.write(`global_step_${step}/trainer.json`, JSON.stringify(saved));
      await writeSafetensors(state(step), [{ name: 'm', tensor: tensorOf('f32', [2], [1, 2]) }]);
    }
  });
  afterEach(() => temporary[Symbol.dispose]());

  const trackers: Record<string, string | null> = {
    'is missing': null,
    'is empty': '',
    'is cut off': '{"last_glo',
    'names another': '{"last_global_step": 999, "best_global_step": 1}',
  };
  for (const [how, text] of Object.entries(trackers)) {
    it(`is the newest that is there, though the tracker ${how}`, async () => {
      if (text !== null) temporary.write('checkpoint_tracker.json', text);
      assert.equal(await newest(), folder(10));
      rmSync(folder(10), { recursive: true });
      assert.equal(await newest(), folder(9));
      assert.deepEqual(problems, []);
    });
  }

  const faults: Record<string, readonly [(step: number) => void, RegExp]> = {
    'is cut off': [(step) => truncateSync(state(step), 50), /optimizer\.safetensors: .*truncated/],
    'has an empty file': [(step) => truncateSync(state(step), 0), /0 bytes are too few/],
    'lacks its state': [(step) => rmSync(state(step)), /was saved with save_model_only/],
    'lacks the trainer’s': [
      (step) => rmSync(join(folder(step), 'trainer.json')),
      /trainer\.json: no such file/,
    ],
    'is of another step': [
      (step) => {
        rmSync(folder(step), { recursive: true });
        renameSync(folder(2), folder(step));
      },
      /its trainer\.json is of step 2/,
    ],
  };
  for (const [how, [damage, problem]] of Object.entries(faults)) {
    it(`is the one before where the newest ${how}, which is said`, async () => {
      damage(10);
      assert.equal(await newest(), folder(9));
      assert.match(problems.join('\n'), problem);
    });
  }

  it('is one that was set aside to be replaced, when that never came', async () => {
    renameSync(folder(10), join(run, '.global_step_10.replaced'));
    mkdirSync(join(run, '.global_step_10.partial'));
    assert.equal(await newest(), folder(10));
    assert.deepEqual(readdirSync(run).sort(), ['global_step_10', 'global_step_2', 'global_step_9']);
  });

  it('is none of a folder without a run, and is missed where there was one', async () => {
    for (const step of [2, 9, 10]) truncateSync(state(step), 9);
    await assert.rejects(newest(), nothing(/nothing to go on from: .*global_step_10.*afresh by /));
    for (const step of [2, 9, 10]) rmSync(folder(step), { recursive: true });
    assert.equal(await newest(), null);
    temporary.write('checkpoint_tracker.json', '{}');
    await assert.rejects(newest(), nothing(/checkpoint_tracker\.json is there, and no checkpoint/));
  });
});

describe('setAside', () => {
  it('moves what is there of the names into a folder that was not there', async () => {
    using temporary = new TemporaryDirectory();
    const { path } = temporary;
    for (const count of [1, 2]) {
      temporary.write('metrics.jsonl', String(count));
      for (const name of ['global_step_4', 'samples/rollouts', 'samples/validations']) {
        mkdirSync(join(path, name), { recursive: true });
      }
      const samples = ['samples/rollouts', 'samples/validations'];
      const names = ['global_step_4', 'metrics.jsonl', 'trained.jsonl', ...samples];
      assert.equal(await setAside(path, names), join(path, `before-${count}`));
      const moved = join(path, `before-${count}`);
      assert.deepEqual(readdirSync(moved), ['global_step_4', 'metrics.jsonl', 'samples']);
      assert.deepEqual(readdirSync(join(moved, 'samples')), ['rollouts', 'validations']);
    }
    assert.equal(await setAside(path, ['metrics.jsonl']), null);
    assert.deepEqual(readdirSync(path), ['before-1', 'before-2', 'samples']);
  });
});

describe('RunFiles', () => {
  it('takes a line of a step for one, also a broken line, and a validation before the first for none', async () => {
    using temporary = new TemporaryDirectory();
    const files = await RunFiles.open(temporary.path);
    assert.equal(await files.hasSteps(), false);
    await files.metrics(0, { 'val/reward_score': 0.5 });
    assert.equal(await files.hasSteps(), false);
    appendFileSync(join(temporary.path, 'metrics.jsonl'), '{"step":1,"actor/');
    assert.equal(await files.hasSteps(), true);
    await files.keepUntil(0, 0);
    await files.metrics(1, {});
    assert.equal(await files.hasSteps(), true);
  });
});
