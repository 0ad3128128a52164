import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import { assertClose } from '../support/assert-close.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import {
  keepingLogger,
  numbersOf,
  phaseReporter,
  superviseTiny,
  trainTiny,
  tinySuite,
} from '../support/tiny-run.ts';

const STEPS = 10;
const bound = { atol: 1e-5 };
/** Losses of a step's update. */
const losses = ['actor/pg_loss', 'actor/kl_loss', 'actor/entropy_loss', 'actor/ppo_kl'];

describe('learners that share every mini-batch', () => {
  const { demo, path } = tinySuite();
  const items = [
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
    'data.rollout_batch_size=4',
    'worker.actor.global_batch_size=2',
    'worker.rollout.n=3',
    'worker.actor.micro_batch_size_per_device_for_update=3',
    'trainer.val_before_train=false',
    `trainer.max_steps=${STEPS}`,
  ];
  const runOf = (learners: number): string => path(`learners-${learners}`);
  const train = (learners: number, run: string, extra: readonly string[] = []) =>
    trainTiny(demo, run, [...items, `worker.actor.num_workers=${learners}`, ...extra]);

  before(async () => {
    await train(1, runOf(1), ['trainer.save_freq=5']);
    for (const { 'critic/advantages/max': advantage } of numbersOf(runOf(1))) {
      assert.ok(advantage! > 0, 'there is something to learn in every step');
    }
  });

  function assertSameLosses(run: string, lines = numbersOf(run)): void {
    const expected = numbersOf(runOf(1)).slice(-lines.length);
    for (const name of [...losses, 'critic/score/mean', 'response_length/mean']) {
      assertClose(
        lines.map((line) => line[name]!),
        expected.map((line) => line[name]!),
        bound,
        name,
      );
    }
    const norms = [lines, expected].map((some) => some.map((line) => line['actor/grad_norm']!));
    assertClose(norms[0]!, norms[1]!, { rtol: 1e-3 }, 'actor/grad_norm');
  }

  it(`has the losses of one in ${STEPS} steps, as two on threads of their own`, async () => {
    await train(2, runOf(2), ['trainer.local_mode=false']);
    assert.equal(numbersOf(runOf(2)).length, STEPS);
    assertSameLosses(runOf(2));
  });

  it('goes on from a checkpoint that another number of learners saved', async () => {
    const run = path('resumed');
    cpSync(runOf(1), run, {
      recursive: true,
      filter: (source) => !/global_step_10|checkpoint_tracker/.test(source),
    });
    await train(3, run, [`trainer.load_checkpoint_path=${run}/global_step_5`]);
    assertSameLosses(run);
  });

  it('saves what one learner would', async () => {
    const files = await Promise.all(
      [1, 2].map((learners) =>
        readSafetensors(join(runOf(learners), 'global_step_10/actor/optimizer.safetensors')),
      ),
    );
    const [one, two] = files.map((file) => [...file].map(([name, { shape }]) => [name, shape]));
    assert.deepEqual(two, one);
    assert.deepEqual(files[1]!.get('step')?.data, files[0]!.get('step')?.data);
    const state = JSON.parse(
      readFileSync(join(runOf(2), 'global_step_10/trainer.json'), 'utf8'),
    ) as unknown;
    const expected = readFileSync(join(runOf(1), 'global_step_10/trainer.json'), 'utf8');
    assert.deepEqual(state, JSON.parse(expected));
  });

  it('warms up with the losses of one', async () => {
    const curves = await Promise.all(
      [1, 3].map(async (learners) => {
        const run = path(`warm-${learners}`);
        const extra = [
          'sft.max_steps=8',
          'data.max_response_length=64',
          'sft.batch_size=5',
          `worker.actor.num_workers=${learners}`,
        ];
        const { logger, events } = keepingLogger();
        await superviseTiny(demo, run, extra, { logger });
        return events.filter(({ event }) => event === 'sft').map(({ fields }) => fields);
      }),
    );
    const [one, three] = curves.map((curve) => curve.map(({ loss }) => Number(loss)));
    assert.equal(one!.length, 8);
    assertClose(three!, one!, bound);
    assert.deepEqual(
      curves[1]!.map(({ tokens }) => tokens),
      curves[0]!.map(({ tokens }) => tokens),
    );
  });

  it('ends when one of them is lost, and leaves none of the others waiting', async () => {
    using workers = new LivingWorkers();
    const run = path('lost');
    const reporter = phaseReporter(({ name }) => {
      if (name === 'update') setTimeout(() => void workers.find('learner/1')?.terminate(), 5);
    });
    const threads = ['worker.actor.num_workers=2', 'trainer.local_mode=false'];
    const few = ['worker.reward.reward_function=closed', 'algorithm.disable_kl=true'];
    const ending = trainTiny(demo, run, [...items, ...threads, ...few], { reporter });
    await assert.rejects(ending, { code: 'ACTOR_CRASHED' });
    assert.deepEqual(workers.names, []);
  });
});
