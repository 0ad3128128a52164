import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { NodeOptions } from '../../actors/runtime/placement.ts';
import type { Phase } from '../../actors/trainer/report/reporter.ts';
import { defaultHeartbeat } from '../../transport/zmq/liveness.ts';
import { assertClose } from '../support/assert-close.ts';
import { NodeProcesses } from '../support/node-processes.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import {
  assertSameRun,
  keepingLogger,
  numbersOf,
  phaseReporter,
  tinySuite,
  trainTiny,
  type LoggedEvent,
} from '../support/tiny-run.ts';

describe('a run over several processes', () => {
  const { demo, path } = tinySuite();
  const alone = path('alone');
  const items = [
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
    'data.rollout_batch_size=8',
    'worker.actor.global_batch_size=4',
    'worker.rollout.n=4',
    'trainer.max_steps=2',
  ];

  /** Trains with the nodes that a callback starts. */
  async function train(
    name: string,
    nodesOf: (processes: NodeProcesses) => Promise<NodeOptions[]>,
    onPhase: (phase: Phase, processes: NodeProcesses) => void = () => undefined,
    extra: readonly string[] = [],
  ): Promise<LoggedEvent[]> {
    await using processes = await NodeProcesses.open();
    const { logger, events } = keepingLogger();
    const nodes = await nodesOf(processes);
    const reporter = phaseReporter((phase) => onPhase(phase, processes));
    await trainTiny(demo, path(name), [...items, ...extra], { logger, reporter, nodes });
    return events;
  }

  const livesOf = (events: readonly LoggedEvent[], actor: string): unknown[] =>
    events
      .filter(({ fields, event }) => fields['actor'] === actor && /^actor/.test(event))
      .map(({ event, fields }) => [event, fields['node']]);

  const assertSame = (name: string, as = alone): void =>
    assertSameRun(path(name), as, ['global_step_2/actor/huggingface/model.safetensors']);

  before(async () => {
    await trainTiny(demo, alone, items);
    for (const { 'critic/advantages/max': advantage } of numbersOf(alone)) {
      assert.ok(advantage! > 0, 'there is something to learn in every step');
    }
  });

  it('has the same numbers when a process is killed in the middle of its rollouts', async () => {
    let rollouts = 0;
    const events = await train(
      'killed',
      async (processes) => [await processes.start('a'), await processes.start('b')],
      ({ name }, processes) => {
        // The first is the validation before the first step.
        if (name === 'rollout' && ++rollouts === 3) setTimeout(() => processes.kill('a'), 5);
      },
    );
    const left = events.filter(({ event }) => event === 'node left');
    assert.equal(left[0]?.fields['node'], 'a');
    assert.deepEqual(livesOf(events, 'rollout/1').slice(0, 3), [
      ['actor started', 'a'],
      ['actor crashed', 'a'],
      ['actor restarted', 'b'],
    ]);
    assertSame('killed');
  });

  it('has the same numbers when all that generates is killed and another process joins', async () => {
    await using processes = await NodeProcesses.open();
    const { logger, events } = keepingLogger();
    const nodes = [await processes.start('a')];
    let take: (node: NodeOptions) => void = () => assert.fail('nobody takes nodes');
    let rollouts = 0;
    const replace = async (): Promise<void> => {
      processes.kill('a');
      take(await processes.start('b'));
    };
    let replaced: Promise<void> | undefined;
    const reporter = phaseReporter(({ name }) => {
      if (name !== 'rollout' || ++rollouts !== 3) return;
      setTimeout(() => {
        replaced = replace();
      }, 5);
    });
    await trainTiny(demo, path('joined'), items, {
      logger,
      reporter,
      nodes,
      slots: 0,
      onJoin: (taker) => (take = taker),
    });
    await replaced;
    for (const actor of ['rollout/0', 'reward/0', 'reference']) {
      assert.deepEqual(livesOf(events, actor).slice(0, 3), [
        ['actor started', 'a'],
        ['actor crashed', 'a'],
        ['actor restarted', 'b'],
      ]);
    }
    assertSame('joined');
  });

  it('has the numbers of one process with rollouts, rewards and reference behind a slow network that loses 5 %', async () => {
    await using processes = await NodeProcesses.open(defaultHeartbeat);
    // npm run soak has 200 ms: a step waits for some twenty trips
    const conditions = { delayMs: 20, loss: 0.05, seed: 1 };
    await using proxy = await TcpProxy.to(processes.endpoint, conditions);
    const { logger, events } = keepingLogger();
    const nodes = [await processes.start('a', [], proxy.endpoint)];
    await trainTiny(demo, path('slow'), items, { logger, nodes });
    for (const actor of ['rollout/1', 'reward/1', 'reference']) {
      const lives = ['started', 'stopped'].map((kind) => [`actor ${kind}`, 'a']);
      assert.deepEqual(livesOf(events, actor), lives);
    }
    assert.deepEqual(livesOf(events, 'rollout/0').at(0), ['actor started', undefined]);
    assertSame('slow');
  });

  describe('with two learners', () => {
    const learners = ['worker.actor.num_workers=2'];
    const places = [undefined, 'a'].map((node) => ['actor started', node]);

    /** A command that starts a process with a file system in memory of its own, as on another host. */
    const mount = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"';
    const elsewhere = ['unshare', '-m', 'sh', '-c', mount, 'sh'];
    const canBeElsewhere = (): boolean =>
      spawnSync(elsewhere[0]!, [...elsewhere.slice(1), 'true']).status === 0;

    /** Trains with one of the learners in a process that is started by a command. */
    async function trainApart(name: string, command?: readonly string[]): Promise<void> {
      const nodes = async (processes: NodeProcesses): Promise<NodeOptions[]> => [
        await processes.start('a', command),
      ];
      const events = await train(name, nodes, undefined, learners);
      const lives = [0, 1].map((rank) => livesOf(events, `learner/${rank}`).at(0));
      assert.deepEqual(lives, places);
      assertSame(name, path('threads'));
    }

    before(() => trainTiny(demo, path('threads'), [...items, ...learners]));

    it('trains over several processes as on as many threads', () => trainApart('learners'));

    it('trains over processes that share no memory, by the network', async function () {
      if (!canBeElsewhere()) this.skip();
      await trainApart('network', elsewhere);
    });

    it('trains over two hosts, one of which has two of three learners', async function () {
      if (!canBeElsewhere()) this.skip();
      const nodes = (processes: NodeProcesses): Promise<NodeOptions[]> =>
        Promise.all([processes.start('a'), processes.start('b', elsewhere)]);
      const three = ['worker.actor.num_workers=3', 'trainer.max_steps=1'];
      const events = await train('hosts', nodes, undefined, three);
      const lives = [0, 1, 2].map((rank) => livesOf(events, `learner/${rank}`).at(0));
      assert.deepEqual(lives, [...places, ['actor started', 'b']]);
      // The sums of a host come first, so it is not the order of three threads.
      const [lines, expected] = [path('hosts'), alone].map((run) => numbersOf(run).slice(0, 1));
      for (const name of ['actor/pg_loss', 'actor/entropy_loss', 'actor/grad_norm']) {
        const [actual, wanted] = [lines, expected].map((some) => some!.map((line) => line[name]!));
        assertClose(actual!, wanted!, { rtol: 1e-3, atol: 1e-5 }, name);
      }
    });
  });

  it('ends with the process of a learner, which nothing can ask again', async () => {
    let updates = 0;
    const ended = train(
      'lost',
      async (processes) => [await processes.start('a')],
      ({ name }, processes) => {
        if (name === 'update' && ++updates === 2) processes.kill('a');
      },
      ['worker.actor.num_workers=2'],
    );
    await assert.rejects(ended, { code: 'ACTOR_CRASHED', message: /^learner\/1 crashed/ });
  });
});
