import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Phase } from '../../actors/trainer/report/reporter.ts';
import type { RunSummary } from '../../actors/run-folder/files.ts';
import { CxmindError, type ErrorCode } from '../../src/errors.ts';
import { loadCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { effectOf } from '../support/effect.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import {
  assertSameRun,
  keepingLogger,
  numbersOf,
  phaseReporter,
  tinySuite,
  trainTiny,
  type LoggedEvent,
} from '../support/tiny-run.ts';

/** Reward functions that answer after what they are named for; `marker` exists once that was done. */
const rewardFile = `
import { existsSync, writeFileSync } from 'node:fs';

const scores = (inputs) =>
  inputs.map(({ response }) => ({ overall: (response.codePointAt(0) ?? 0) % 7 }));
const isFirst = ({ marker }) => {
  if (existsSync(marker)) return false;
  writeFileSync(marker, '');
  return true;
};

export const steady = scores;
export function exits(inputs, kwargs) {
  if (isFirst(kwargs)) process.exit(1);
  return scores(inputs);
}
export function spins(inputs, kwargs) {
  if (isFirst(kwargs)) for (;;);
  return scores(inputs);
}
export function alwaysHangs() {
  return new Promise(() => {});
}
export function throws() {
  throw new Error('no such disease');
}
export function tooFew(inputs) {
  return scores(inputs).slice(1);
}
export function notANumber(inputs) {
  return scores(inputs).map((parts, i) => (i === 2 ? { overall: NaN } : parts));
}
// Of every group some, whatever was answered: a group of equal scores has no gradient, not a bad one.
export function tooLarge(inputs) {
  return inputs.map((_, i) => ({ overall: (i % 2) * 1e39 }));
}
export function withoutOverall(inputs) {
  return inputs.map(() => ({ accuracy: 1 }));
}
`;

describe('a run whose actors crash', () => {
  const { demo, path, write } = tinySuite();
  let rewards: string;
  let steady: string;
  let workers: LivingWorkers;
  let count = 0;
  const items = [
    'data.rollout_batch_size=10',
    'worker.actor.global_batch_size=10',
    'worker.rollout.n=4',
    'trainer.max_steps=2',
    'trainer.val_before_train=false',
  ];

  /** Threads of their own for actors, and no reference among them. */
  const fewThreads = ['trainer.local_mode=false', 'algorithm.disable_kl=true'];

  /** Trains with one of the reward functions above. */
  async function train(
    reward: string,
    { extra = [], onPhase }: { extra?: string[]; onPhase?: (p: Phase) => void },
  ): Promise<{ run: string; events: LoggedEvent[]; ending: Promise<RunSummary> }> {
    const run = path(`run-${count++}`);
    const { logger, events } = keepingLogger();
    const ending = trainTiny(
      demo,
      run,
      [
        ...items,
        `worker.reward.reward_function=${rewards}:${reward}`,
        `worker.reward.reward_function_kwargs={marker: ${run}.marker}`,
        // only what has a thread of its own can lose it
        `trainer.local_mode=${!onPhase}`,
        ...extra,
      ],
      { logger, reporter: phaseReporter(onPhase ?? (() => undefined)) },
    );
    await ending.catch(() => undefined);
    return { run, events, ending };
  }

  /**
   * Ends an actor's thread in the middle of a phase of the first step, as soon as a part of that is done. The second step
   * needs the actor again, also where it was done with its share of the phase.
   */
  function killIn(phaseName: string, actor: string): (phase: Phase) => void {
    let seen = 0;
    return ({ name, done }) => {
      if (name !== phaseName || ++seen !== 1) return;
      const look = (): void => {
        if (done() > 0) void workers.find(actor)?.terminate();
        else setImmediate(look);
      };
      look();
    };
  }

  const livesOf = (events: readonly LoggedEvent[], actor: string): string[] =>
    events.filter(({ fields }) => fields['actor'] === actor).map(({ event }) => event);

  const assertSameAsSteady = (run: string): void =>
    assertSameRun(run, steady, ['global_step_2/actor/huggingface/model.safetensors']);

  async function assertEnds(
    { run, ending }: Pick<Awaited<ReturnType<typeof train>>, 'run' | 'ending'>,
    code: ErrorCode,
    message: RegExp,
  ): Promise<void> {
    await assert.rejects(ending, (error) => {
      assert.ok(error instanceof CxmindError, String(error));
      assert.match(error.message, message);
      assert.equal(error.code, code);
      return true;
    });
    const checkpoints = readdirSync(run).filter((name) => name.includes('global_step'));
    assert.deepEqual(checkpoints, []);
    assert.equal(existsSync(join(run, 'checkpoint_tracker.json')), false);
  }

  before(async () => {
    workers = new LivingWorkers();
    rewards = write('rewards.mjs', rewardFile);
    const { run, ending } = await train('steady', {});
    await ending;
    steady = run;
  });
  afterEach(() => {
    assert.deepEqual(workers.names, []);
  });
  after(() => workers[Symbol.dispose]());

  it('has lost rollout and reference actors restarted, with no other numbers', async () => {
    const [killRollout, killReference] = [
      killIn('rollout', 'rollout/0'),
      killIn('reference', 'reference'),
    ];
    const { run, events, ending } = await train('steady', {
      onPhase: (phase) => {
        killRollout(phase);
        killReference(phase);
      },
    });
    await ending;
    const lives = ['started', 'crashed', 'restarted', 'stopped'].map((kind) => `actor ${kind}`);
    for (const actor of ['rollout/0', 'reference']) assert.deepEqual(livesOf(events, actor), lives);
    assertSameAsSteady(run);
  });

  it('gives the work of a lost rollout actor to another', async () => {
    const { run, events, ending } = await train('steady', {
      extra: ['worker.rollout.num_workers=2'],
      onPhase: killIn('rollout', 'rollout/1'),
    });
    await ending;
    assert.ok(livesOf(events, 'rollout/1').includes('actor crashed'));
    assertSameAsSteady(run);
  });

  it('calls a reward function again that ended its thread, which the actor survives', async () => {
    const { run, events, ending } = await train('exits', {});
    await ending;
    assert.deepEqual(livesOf(events, 'reward/0'), ['actor started', 'actor stopped']);
    assertSameAsSteady(run);
  });

  effectOf('worker.reward.timeout_seconds');
  it('cuts a reward function that hangs, after timeout_seconds', async () => {
    const { run, events, ending } = await train('spins', {
      extra: ['worker.reward.timeout_seconds=1'],
    });
    await ending;
    assert.deepEqual(livesOf(events, 'reward/0'), ['actor started', 'actor stopped']);
    assertSameAsSteady(run);
  });

  it('ends when a reward function never answers', async () => {
    const ended = await train('alwaysHangs', { extra: ['worker.reward.timeout_seconds=0.1'] });
    const message = /rewards\.mjs:alwaysHangs: row \S+, response 1 of 4: took longer than 0\.1 s/;
    await assertEnds(ended, 'REWARD_INVALID', message);
  });

  for (const [reward, message] of [
    ['throws', /rewards\.mjs:throws: row \S+, response 1 of 4: threw: no such disease/],
    ['tooFew', /tooFew: a batch of 40 responses: expected an array of 40 maps, got an array of 39/],
    [
      'notANumber',
      /notANumber: row \S+, response 3 of 4: 'overall' is not a finite number but NaN/,
    ],
    ['withoutOverall', /withoutOverall: row \S+, response 1 of 4: no 'overall' among its parts/],
  ] as const) {
    it(`ends when a reward function's answer is wrong: ${reward}`, async () => {
      await assertEnds(await train(reward, {}), 'REWARD_INVALID', message);
    });
  }

  it('skips an update whose gradient is not finite, and ends after three in a row', async () => {
    const { run, events, ending } = await train('tooLarge', { extra: ['trainer.max_steps=9'] });
    const message = /gradient was not finite in 3 steps in a row, the last being 3; lower worker/;
    await assertEnds({ run, ending }, 'NUMERIC_NONFINITE', message);
    assert.equal(events.filter(({ event }) => /update skipped/.test(event)).length, 3);
    assert.equal(numbersOf(run).length, 2);
  });

  it('ends with the learner, which nothing can ask again, while others work', async () => {
    const run = path('without-learner');
    const reporter = phaseReporter(killIn('rollout', 'learner/0'));
    const ending = trainTiny(demo, run, [...items, ...fewThreads], { reporter });
    const message = /learner\/0 crashed: thread exited with code 1/;
    await assertEnds({ run, ending }, 'ACTOR_CRASHED', message);
  });

  it('keeps the checkpoint before when the learner is lost during a save', async () => {
    const extra = [...fewThreads, 'trainer.save_freq=1', 'trainer.max_steps=3'];
    let [run, found]: [string, string[]] = ['', []];
    // Writing takes milliseconds: again, until the loss falls into them.
    for (let attempt = 0; attempt < 5 && found.length !== 1; attempt++) {
      run = path(`saving-${attempt}`);
      mkdirSync(run);
      const watcher = watch(run, (_, name) => {
        if (name === '.global_step_2.partial') void workers.find('learner/0')?.terminate();
      });
      const ending = trainTiny(demo, run, [...items, ...extra]);
      await assert.rejects(ending, { code: 'ACTOR_CRASHED' });
      watcher.close();
      found = readdirSync(run).filter((name) => name.includes('global_step'));
    }
    assert.deepEqual(found, ['global_step_1']);
    await loadCheckpoint(join(run, 'global_step_1/actor/huggingface'));
    const tracker = readFileSync(join(run, 'checkpoint_tracker.json'), 'utf8');
    assert.equal((JSON.parse(tracker) as Record<string, unknown>)['last_global_step'], 1);
  });
});
