import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { readSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import { assertClose } from '../support/assert-close.ts';
import { effectOf } from '../support/effect.ts';
import { keepingReporter, numbersOf, trainTiny, tinySuite } from '../support/tiny-run.ts';

const STATES = ['actor/optimizer.safetensors', 'reference/weights.safetensors'];

/** Weights of a checkpoint, f32. */
async function weightsOf(run: string, step: number, file: string): Promise<Float32Array> {
  const tensors = await readSafetensors(join(run, `global_step_${step}`, file));
  return tensors.get('weights')!.data as Float32Array;
}

describe('a reference that moves towards the policy', () => {
  const { demo, path } = tinySuite();
  /** Two steps without a stop, with a move after each; a checkpoint at each. */
  const whole = path('whole');
  const items = [
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
    'algorithm.use_kl_loss=true',
    'algorithm.kl_coef=0.5',
    'trainer.save_freq=1',
    'trainer.val_before_train=false',
    'data.rollout_batch_size=4',
    'worker.actor.global_batch_size=2',
  ];
  const synced = [...items, 'worker.ref.sync_ref_model=true', 'worker.ref.ref_model_sync_steps=1'];
  const runTo = (name: string, steps: number, chosen: readonly string[]) =>
    trainTiny(demo, path(name), [...chosen, `trainer.max_steps=${steps}`]);
  const bytes = (run: string, step: number, file: string): Buffer =>
    readFileSync(join(run, `global_step_${step}`, file));

  before(async () => {
    await runTo('whole', 2, synced);
  });

  it('is 0.6 of the policy and 0.4 of what it was after each step', async () => {
    const { arena } = await loadCheckpoint(join(demo, 'model'));
    let expected = arena.data;
    for (const step of [1, 2]) {
      const policy = await weightsOf(whole, step, STATES[0]!);
      expected = policy.map((value, i) => 0.6 * value + 0.4 * expected[i]!);
      const reference = await weightsOf(whole, step, STATES[1]!);
      assertClose(reference, expected, { rtol: 1e-6, atol: 1e-7 });
      assert.ok(reference.some((value, i) => value !== policy[i]));
    }
  });

  it('is exact in a run that is resumed', async () => {
    await runTo('halves', 1, synced);
    await runTo('halves', 2, synced);
    const run = path('halves');
    for (const file of STATES) assert.ok(bytes(run, 2, file).equals(bytes(whole, 2, file)), file);
    assert.deepEqual(numbersOf(run).at(-1), numbersOf(whole).at(-1));
  });

  effectOf(
    'worker.ref.sync_ref_model',
    'worker.ref.ref_model_mixup_alpha',
    'worker.ref.ref_model_sync_steps',
  );
  it('changes what the policy learns, by how far and how often it moves', async () => {
    const learned = new Map([['synced', bytes(whole, 2, STATES[0]!)]]);
    for (const [name, item] of [
      ['frozen', 'worker.ref.sync_ref_model=false'],
      ['replaced', 'worker.ref.ref_model_mixup_alpha=1'],
      ['late', 'worker.ref.ref_model_sync_steps=2'],
    ] as const) {
      await runTo(name, 2, [...synced, item]);
      const run = path(name);
      learned.set(name, bytes(run, 2, STATES[0]!));
      assert.equal(existsSync(join(run, 'global_step_1/reference')), name === 'replaced');
      assert.equal(existsSync(join(run, 'global_step_2/reference')), name !== 'frozen');
    }
    // A move after the second step comes too late for its loss.
    assert.deepEqual(learned.get('late'), learned.get('frozen'));
    const different = ['synced', 'frozen', 'replaced'].map((name) =>
      learned.get(name)!.toString('base64'),
    );
    assert.equal(new Set(different).size, 3);
    const replaced = path('replaced');
    const [policy, reference] = await Promise.all(STATES.map((f) => weightsOf(replaced, 2, f)));
    assert.deepEqual(reference, policy);
  });

  it('is passed over where its file is damaged', async () => {
    const run = path('replaced');
    rmSync(join(run, 'global_step_2', STATES[1]!));
    const { notes, reporter } = keepingReporter();
    const chosen = [...synced, 'worker.ref.ref_model_mixup_alpha=1', 'trainer.max_steps=1'];
    await trainTiny(demo, run, chosen, { reporter });
    assert.match(notes.join('\n'), /passed over: .*global_step_2\/reference\/weights\.safetensors/);
    assert.match(notes.join('\n'), /resumed from .*global_step_1/);
  });
});
