import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { ActorEvent } from '../../actors/runtime/actor.ts';
import { askAny, gather, gatherSettled } from '../../actors/runtime/pool.ts';
import type { Supervision } from '../../actors/runtime/supervisor.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { garbageCollector } from '../../src/collector.ts';
import { CxmindError } from '../../src/errors.ts';
import { rows, zeros } from '../../src/tensor/tensor.ts';
import {
  counterProtocol,
  hasty,
  spawnCounter,
  type CounterOptions,
  type CounterProps,
  type CounterRef,
} from '../support/counter-actor.ts';
import { LivingWorkers } from '../support/living-workers.ts';

const soon = { timeoutMs: 10_000 };

/** A message that keeps the first of several actors busy and that the others refuse. */
const waitOf = (index: number): { ms: number; heedsSignal: boolean } =>
  index === 0 ? { ms: 600_000, heedsSignal: true } : ('never' as never);

/** Counts the worker threads and message ports that keep this process alive. */
function workersAlive(): number {
  return process
    .getActiveResourcesInfo()
    .filter((kind) => kind === 'Worker' || kind === 'MessagePort').length;
}

for (const place of ['worker thread', 'same thread'] as const) {
  const isThread = place === 'worker thread';

  describe(`actors on the ${place}`, () => {
    let system: ActorSystem;
    let disposals: SharedArrayBuffer;
    let before: number;

    const begun = async (block = disposals): Promise<void> => {
      while (new Int32Array(block)[2] === 0) await delay(1);
    };

    const spawn = (
      name: string,
      options: CounterOptions = {},
      props: Partial<CounterProps> = {},
    ): Promise<CounterRef> =>
      spawnCounter[place](system, { name, ...options, props: { start: 0, disposals, ...props } });

    beforeEach(() => {
      before = workersAlive();
      system = new ActorSystem();
      disposals = new SharedArrayBuffer(12);
    });
    afterEach(async () => {
      await system.shutdown();
      assert.equal(workersAlive(), before, 'a thread or a port is left');
    });

    it('answers asks in order, one message at a time', async () => {
      const counter = await spawn('counter/0');
      if (isThread) assert.ok(workersAlive() > before, 'threads are seen by this count');
      const slow = counter.ask.wait({ ms: 20, heedsSignal: false }, soon);
      const sums = await Promise.all([1, 2, 3].map((n) => counter.ask.add(n, soon)));
      assert.deepEqual(sums, [1, 3, 6]);
      assert.equal(await slow, 'waited');
      assert.equal(counter.pending, 0);
    });

    it('works on the memory of a tensor in place', async () => {
      const counter = await spawn('counter/0');
      const arena = zeros('f32', [4]);
      const filled = await counter.ask.fill({ values: rows(arena, 1, 3), value: 7 }, soon);
      assert.deepEqual([...arena.data], [0, 7, 7, 0]);
      arena.data[1] = 9;
      assert.equal(filled.data[0], 9, 'the reply is the same memory too');
    });

    it('rejects an ask with the error its handler threw, and goes on', async () => {
      const counter = await spawn('counter/0');
      await assert.rejects(counter.ask.refuse('bad row', soon), (error) => {
        assert.ok(error instanceof CxmindError);
        assert.deepEqual(
          [error.code, error.message, error.detail],
          ['DATA_INVALID', 'bad row', { row: 3 }],
        );
        return true;
      });
      assert.equal(await counter.ask.add(1, soon), 1);
    });

    it('refuses a message that is not as the protocol says, naming where', async () => {
      const counter = await spawn('counter/0');
      await assert.rejects(counter.ask.add('two' as unknown as number, soon), {
        code: 'WIRE_INVALID',
        message: 'counter/0.add: expected number, got "two"',
      });
    });

    it('lets actors ask each other by name', async () => {
      const [first] = await Promise.all([spawn('counter/0'), spawn('counter/1')]);
      assert.equal(await first.ask.addThrough({ to: 'counter/1', amount: 4 }, soon), 4);
      await assert.rejects(first.ask.addThrough({ to: 'counter/9', amount: 4 }, soon), {
        code: 'ACTOR_STOPPED',
      });
      assert.equal(await system.lookup('counter/1', counterProtocol)?.ask.add(1, soon), 5);
    });

    it('rejects at the deadline and aborts the handler', async () => {
      const counter = await spawn('counter/0');
      await assert.rejects(counter.ask.wait({ ms: 5_000, heedsSignal: true }, { timeoutMs: 30 }), {
        code: 'ACTOR_TIMEOUT',
      });
      assert.equal(await counter.ask.restarts(undefined, soon), 0, 'the actor lives on');
    });

    it('cancels past the queue: what runs, and what waits', async () => {
      const counter = await spawn('counter/0');
      const [running, queued] = [new AbortController(), new AbortController()];
      const long = { ms: 5_000, heedsSignal: true };
      const asks = [
        counter.ask.wait(long, { timeoutMs: 9_000, signal: running.signal }),
        counter.ask.add(100, { timeoutMs: 9_000, signal: queued.signal }),
      ];
      const outcomes = Promise.allSettled(asks);
      const last = counter.ask.add(1, soon);
      await delay(20);
      queued.abort();
      running.abort();
      for (const outcome of await outcomes) {
        assert.equal(outcome.status, 'rejected');
        assert.equal((outcome.reason as CxmindError).code, 'RUNTIME_CANCELLED');
      }
      assert.equal(await last, 1, 'the cancelled addition was not done');
      await assert.rejects(counter.ask.add(1, { ...soon, signal: queued.signal }), {
        code: 'RUNTIME_CANCELLED',
      });
    });

    it('makes senders wait while the mailbox is full', async () => {
      const counter = await spawn('counter/0', { mailboxCapacity: 2 });
      const enough = new AbortController();
      const long = { ms: 60_000, heedsSignal: true };
      const slow = counter.ask.wait(long, { timeoutMs: 60_000, signal: enough.signal });
      const outcome = assert.rejects(slow, { code: 'RUNTIME_CANCELLED' });
      await counter.tell.add(1);
      let isTaken = false;
      const third = counter.tell.add(1).then(() => (isTaken = true));
      await delay(20);
      assert.equal(isTaken, false);
      assert.equal(counter.pending, 3);
      await assert.rejects(counter.ask.add(50, { timeoutMs: 10 }), { code: 'ACTOR_TIMEOUT' });
      enough.abort();
      await outcome;
      await third;
      assert.equal(await counter.ask.add(0, soon), 2, 'the ask that timed out was never taken');
    });

    it('restarts a crashed actor from its props, with its open asks rejected at once', async () => {
      const counter = await spawn('counter/0');
      const events: ActorEvent[] = [];
      const watch = system.watch(counter, (event) => events.push(event));
      await counter.ask.add(5, soon);
      const open = [counter.ask.die('fatal', soon), counter.ask.add(1, soon)];
      for (const outcome of await Promise.allSettled(open)) {
        assert.equal(outcome.status, 'rejected');
        assert.equal((outcome.reason as CxmindError).code, 'ACTOR_CRASHED');
        assert.match((outcome.reason as CxmindError).message, /the device is lost/);
      }
      assert.equal(counter.status, 'restarting');
      assert.equal(await counter.ask.add(1, soon), 1);
      assert.equal(await counter.ask.restarts(undefined, soon), 1);
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['crashed', 'restarted'],
      );
      watch[Symbol.dispose]();
      await system.stop(counter);
      assert.equal(events.length, 2, 'nothing is heard after the watch is disposed of');
    });

    it('hands the state that was kept last to the next life, and none that was not', async () => {
      const counter = await spawn('counter/0');
      await counter.ask.add(5, soon);
      await counter.ask.keep(undefined, soon);
      await counter.ask.add(100, soon);
      for (let life = 1; life <= 2; life++) {
        await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
        assert.equal(await counter.ask.add(1, soon), 5 + 1);
      }
      assert.equal(await (await spawn('counter/1')).ask.add(0, soon), 0);
    });

    it('lets actors watch each other until they no longer want to', async () => {
      const [watcher, watched] = await Promise.all([spawn('counter/0'), spawn('counter/1')]);
      await watcher.ask.watch('counter/1', soon);
      await assert.rejects(watched.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      await watched.ask.add(1, soon);
      assert.deepEqual(await watcher.ask.heard(undefined, soon), [
        'crashed: ACTOR_CRASHED',
        'restarted',
      ]);
      await watcher.ask.unwatch(undefined, soon);
      await system.stop(watched);
      assert.equal((await watcher.ask.heard(undefined, soon)).length, 2);
    });

    it('gathers the replies of many, one message for all or one for each', async () => {
      const refs = await Promise.all([0, 1, 2].map((i) => spawn(`counter/${i}`)));
      assert.deepEqual(await gather(refs, 'add', 2, soon), [2, 2, 2]);
      assert.deepEqual(await gather(refs, 'add', (index) => index, soon), [2, 3, 4]);
      await system.stop(refs[1]!);
      const settled = await gatherSettled(refs, 'add', 1, soon);
      assert.deepEqual(
        settled.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
    });

    it('cancels the asks of a gathering when one of them fails', async () => {
      const [first, second] = await Promise.all([spawn('counter/0'), spawn('counter/1')]);
      const replies = gather([first, second], 'wait', waitOf, { timeoutMs: 600_000 });
      await assert.rejects(replies, { code: 'WIRE_INVALID' });
      assert.equal(await first.ask.add(1, soon), 1, 'the first is free again');
      const signal = AbortSignal.abort();
      await assert.rejects(gather([first], 'add', 1, { ...soon, signal }), {
        code: 'RUNTIME_CANCELLED',
      });
    });

    it('stops actors after those that use them', async () => {
      const shared = new SharedArrayBuffer(12);
      const used = await spawn('counter/0', {}, { disposals: shared, number: 1 });
      const user = await spawn('counter/1', { uses: [used] }, { disposals: shared, number: 2 });
      const busy = user.ask.wait({ ms: 100, heedsSignal: false }, soon);
      await begun(shared);
      await system.shutdown();
      await busy;
      assert.deepEqual(
        [...new Int32Array(shared, 0, 2)],
        [2, 1],
        'the used one was disposed of last',
      );
    });

    it('counts tells to nobody from an actor as dead letters', async () => {
      const counter = await spawn('counter/0');
      await counter.ask.tellTo('counter/9', soon);
      assert.equal(system.deadLetters, 1);
    });

    it('counts tells that the dead never did as dead letters', async () => {
      const counter = await spawn('counter/0');
      const died = counter.ask.die('fatal', soon);
      await counter.tell.add(1);
      await assert.rejects(died, { code: 'ACTOR_CRASHED' });
      assert.equal(system.deadLetters, 1);
      await system.stop(counter);
      await counter.tell.add(1);
      assert.equal(system.deadLetters, 2);
    });

    it('escalates after too many crashes: every actor stops, the reason is told', async () => {
      const once: Supervision = { ...hasty, maxRestarts: 1 };
      const counter = await spawn('counter/0', { supervision: once });
      const other = await spawn('counter/1');
      await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      assert.equal(system.signal.aborted, false);
      await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      assert.equal((system.signal.reason as CxmindError).code, 'ACTOR_CRASHED');
      await system.shutdown();
      await assert.rejects(counter.ask.add(1, soon), { code: 'ACTOR_STOPPED' });
      await assert.rejects(other.ask.add(1, soon), { code: 'ACTOR_STOPPED' });
    });

    it('stops for good at the first crash where told so', async () => {
      const counter = await spawn('counter/0', { supervision: { onCrash: 'stop' } });
      await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      assert.equal(counter.status, 'stopped');
      await assert.rejects(counter.ask.add(1, soon), { code: 'ACTOR_STOPPED' });
      assert.equal(system.signal.aborted, false);
    });

    it('ends a handler that ignores that its caller gave up', async () => {
      const counter = await spawn('counter/0');
      const stubborn = counter.ask.wait({ ms: 2_000, heedsSignal: false }, { timeoutMs: 20 });
      await assert.rejects(stubborn, { code: 'ACTOR_TIMEOUT' });
      await assert.rejects(counter.ask.add(1, soon), { code: 'ACTOR_CRASHED' });
      assert.equal(await counter.ask.restarts(undefined, soon), 1);
    });

    it('rejects a spawn whose factory throws, with what it threw, without a retry', async () => {
      await assert.rejects(spawn('counter/0', {}, { failsToStart: true }), {
        code: 'CHECKPOINT_INVALID',
        message: 'no such checkpoint',
      });
      assert.equal(system.lookup('counter/0', counterProtocol), undefined);
    });

    it('disposes of actors at the end and aborts what they work on', async () => {
      const counter = await spawn('counter/0');
      const idle = await spawn('counter/1');
      const running = counter.ask.wait({ ms: 5_000, heedsSignal: true }, soon);
      const queued = counter.ask.add(1, soon);
      await begun();
      const outcomes = Promise.allSettled([running, queued]);
      await system.shutdown();
      const [ran, waited] = await outcomes;
      assert.deepEqual(ran, { status: 'fulfilled', value: 'aborted' });
      assert.equal(waited.status, 'rejected');
      assert.equal((waited.reason as CxmindError).code, 'ACTOR_STOPPED');
      assert.equal(new Int32Array(disposals)[0], 2);
      assert.equal(idle.status, 'stopped');
      await assert.rejects(spawn('counter/2'), { code: 'ACTOR_STOPPED' });
    });

    it('refuses a second actor of one name, and takes it when the first is gone', async () => {
      const first = await spawn('counter/0');
      await assert.rejects(spawn('counter/0'), { code: 'INTERNAL' });
      await system.stop(first);
      assert.equal(await (await spawn('counter/0')).ask.add(2, soon), 2);
    });
  });
}

describe('actors and real crashes', () => {
  let system: ActorSystem;
  let before: number;

  const spawn = (name: string, options: CounterOptions = {}): Promise<CounterRef> => {
    const supervision = { ...hasty, maxRestarts: 10 };
    return spawnCounter['worker thread'](system, { name, supervision, ...options });
  };

  beforeEach(() => {
    before = workersAlive();
    system = new ActorSystem();
  });
  afterEach(async () => {
    await system.shutdown();
    assert.equal(workersAlive(), before, 'a thread or a port is left');
  });

  const causes = {
    exit: /exited with code 3/,
    timer: /thrown in a timer/,
    memory: /out of memory/,
  } as const;
  for (const how of ['exit', 'timer', 'memory'] as const) {
    it(`restarts a thread that ends by ${how}, and says why`, async () => {
      const counter = await spawn('counter/0', { heapLimitMb: 24 });
      await assert.rejects(counter.ask.die(how, soon), (error) => {
        assert.ok(error instanceof CxmindError);
        assert.equal(error.code, 'ACTOR_CRASHED');
        assert.match(error.message, causes[how]);
        assert.ok(error.cause instanceof CxmindError);
        return true;
      });
      assert.equal(await counter.ask.restarts(undefined, soon), 1);
    });
  }

  it('bounds the part of its heap that is for new objects, with a limit of the whole or without', async () => {
    using workers = new LivingWorkers();
    await Promise.all([spawn('counter/0'), spawn('counter/1', { heapLimitMb: 24 })]);
    for (const name of ['counter/0', 'counter/1']) {
      assert.equal(workers.find(name)!.resourceLimits?.maxYoungGenerationSizeMb, 12);
    }
  });

  it('disposes of an actor that crashed, and lets the next one live on its thread', async () => {
    using workers = new LivingWorkers();
    const disposals = new SharedArrayBuffer(4);
    const counter = await spawn('counter/0', { props: { start: 0, disposals } });
    const thread = workers.find('counter/0');
    for (let life = 1; life <= 3; life++) {
      await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      assert.equal(await counter.ask.add(1, soon), 1);
      assert.equal(new Int32Array(disposals)[0], life);
      assert.equal(workers.find('counter/0'), thread);
    }
    await assert.rejects(counter.ask.die('exit', soon), { code: 'ACTOR_CRASHED' });
    assert.equal(await counter.ask.restarts(undefined, soon), 4);
    assert.notEqual(workers.find('counter/0'), thread);
  });

  it('ends the thread of an actor that crashed and cannot be disposed of', async () => {
    const counter = await spawn('counter/0');
    await assert.rejects(counter.ask.die('stubborn', soon), /the device is lost/);
    assert.equal(await counter.ask.restarts(undefined, soon), 1);
  });

  it('ends a thread that loops for ever once the deadline and the grace have passed', async () => {
    const counter = await spawn('counter/0');
    await assert.rejects(counter.ask.die('loop', { timeoutMs: 50 }), { code: 'ACTOR_TIMEOUT' });
    await assert.rejects(counter.ask.add(1, soon), /went on for 200 ms after it was cancelled/);
    assert.equal(await counter.ask.restarts(undefined, soon), 1);
  });

  it('finds the loop behind tells that are done', async () => {
    const counter = await spawn('counter/0');
    await Promise.all([counter.tell.add(1), counter.tell.add(1)]);
    await assert.rejects(counter.ask.die('loop', { timeoutMs: 50 }), { code: 'ACTOR_TIMEOUT' });
    await assert.rejects(counter.ask.add(1, soon), { code: 'ACTOR_CRASHED' });
  });

  it('does not hold against an actor that this thread was too busy to hear it', async () => {
    const counter = await spawn('counter/0');
    const asked = counter.ask.add(1, { timeoutMs: 50 });
    const busyUntil = performance.now() + 150;
    while (performance.now() < busyUntil);
    assert.equal(await asked, 1);
  });

  it('shuts down a thread that loops for ever', async () => {
    const counter = await spawn('counter/0');
    const looping = counter.ask.die('loop', soon);
    const outcome = assert.rejects(looping, { code: 'ACTOR_STOPPED' });
    await delay(20);
    await system.shutdown();
    await outcome;
  });

  it('rejects a spawn from a module without that factory', async () => {
    await assert.rejects(spawn('counter/0', { create: 'counterProtocol' }), {
      code: 'INTERNAL',
      message: /exports no factory 'counterProtocol' of the protocol counter/,
    });
  });

  it('finishes the work of a pool one of whose actors dies in the middle', async () => {
    const refs = await Promise.all([spawn('counter/0'), spawn('counter/1')]);
    const work = Array.from({ length: 20 }, () =>
      askAny(refs, 'wait', { ms: 5, heedsSignal: false }, { ...soon, retries: 3 }),
    );
    const died = assert.rejects(refs[0].ask.die('exit', soon), { code: 'ACTOR_CRASHED' });
    const more = Array.from({ length: 20 }, () =>
      askAny(refs, 'wait', { ms: 5, heedsSignal: false }, { ...soon, retries: 3 }),
    );
    await died;
    const replies = await Promise.all([...work, ...more]);
    assert.ok(replies.every((reply) => reply === 'waited'));
  });

  it('leaves nothing behind an ask: a thousand in flight, and a thousand one by one', async () => {
    const counter = await spawn('counter/0');
    const values = zeros('f32', [1 << 16]);
    const round = async (): Promise<void> => {
      await Promise.all(Array.from({ length: 1000 }, () => counter.ask.add(1, soon)));
      for (let i = 0; i < 1000; i++) await counter.ask.fill({ values, value: i }, soon);
    };
    const collect = garbageCollector()!;
    const heapBytes = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    await round();
    const start = heapBytes();
    const residentBytes = process.memoryUsage.rss();
    await round();
    assert.equal(counter.pending, 0);
    const perAsk = (heapBytes() - start) / 2000;
    assert.ok(perAsk < 100, `${perAsk} bytes of heap left by each ask`);
    // a copy of the tensor in each ask would be 256 MiB
    assert.ok(process.memoryUsage.rss() - residentBytes < 64 * 2 ** 20);
  });
});

describe('a system in local mode', () => {
  it('makes actors on the calling thread, as they would be made on their own', async () => {
    using workers = new LivingWorkers();
    await using system = new ActorSystem({ localMode: true });
    const props = { start: 7, disposals: new SharedArrayBuffer(4) };
    const counter = await spawnCounter['worker thread'](system, { props });
    props.start = 100;
    await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
    assert.equal(await counter.ask.add(1, soon), 8);
    assert.equal(await counter.ask.restarts(undefined, soon), 1);
    assert.deepEqual(workers.names, []);
    await system.stop(counter);
    assert.equal(new Int32Array(props.disposals)[0], 2);
  });
});
