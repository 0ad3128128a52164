import assert from 'node:assert/strict';
import { spawn as spawnProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ActorEvent } from '../../actors/runtime/actor.ts';
import type { ProcessOptions } from '../../actors/runtime/nodes/child-nodes.ts';
import type { Place } from '../../actors/runtime/placement.ts';
import { askAny } from '../../actors/runtime/pool.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { CxmindError } from '../../src/errors.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import {
  counterProtocol,
  hasty,
  spawnCounter,
  type CounterOptions,
  type CounterRef,
} from '../support/counter-actor.ts';
import { ended, isRunning } from '../support/process-end.ts';
import { keepingLogger, type LoggedEvent } from '../support/tiny-run.ts';

const soon = { timeoutMs: 10_000 };
const supervision = { ...hasty, windowMs: 5_000 };

describe('nodes', () => {
  let system: ActorSystem;
  let events: LoggedEvent[];
  const spawned: CounterRef[] = [];
  async function addNode(name: string, options: Partial<ProcessOptions> = {}): Promise<void> {
    await system.startProcess({ name, supervision: { onCrash: 'stop' }, ...options });
  }

  async function spawn(
    name: string,
    place: Place,
    extra: CounterOptions = {},
  ): Promise<CounterRef> {
    const props = { start: 0, disposals: { $shared: 'disposals', sizeBytes: 4 } };
    const options = { name, place, props, supervision, ...extra };
    const ref = await spawnCounter['worker thread'](system, options);
    spawned.push(ref);
    return ref;
  }

  async function kill(name: string): Promise<void> {
    const node = system.nodes.find((each) => each.name === name)!;
    process.kill(node.pid, 'SIGKILL');
    await node.ended;
  }

  function eventOf(ref: CounterRef, kind: ActorEvent['kind']): Promise<ActorEvent> {
    return new Promise((resolve) => {
      const watch = system.watch(ref, (event) => {
        if (event.kind !== kind) return;
        watch[Symbol.dispose]();
        resolve(event);
      });
    });
  }

  const begin = (): void => {
    const kept = keepingLogger();
    events = kept.events;
    spawned.length = 0;
    system = new ActorSystem({ logger: kept.logger });
  };

  describe('that live', () => {
    before(async () => {
      begin();
      await Promise.all(['a', 'b'].map((name) => addNode(name)));
    });
    afterEach(async () => {
      for (const ref of spawned.splice(0)) await system.stop(ref);
    });
    after(() => system.shutdown());

    it('host actors that are asked, told and stopped as if they were here', async () => {
      const counter = await spawn('counter/0', { node: 'a' });
      assert.equal(counter.address, 'counter/0@a');
      assert.deepEqual(
        await Promise.all([1, 2, 3].map((n) => counter.ask.add(n, soon))),
        [1, 3, 6],
      );
      await counter.tell.add(4);
      assert.equal(await counter.ask.add(0, soon), 10);
      const values = tensorOf('f32', [3], [1, 2, 3]);
      assert.deepEqual([...(await counter.ask.fill({ values, value: 7 }, soon)).data], [7, 7, 7]);
      await assert.rejects(counter.ask.refuse('bad row', soon), {
        code: 'DATA_INVALID',
        message: 'bad row',
      });
      await system.stop(counter);
      assert.equal(counter.status, 'stopped');
      await assert.rejects(counter.ask.add(1, soon), { code: 'ACTOR_STOPPED' });
    });

    it('go on when a scheduler warns them with SIGUSR1, and open no debugger', async () => {
      const write = process.stderr.write.bind(process.stderr);
      let said = '';
      process.stderr.write = (text: string | Uint8Array) => {
        said += String(text);
        return true;
      };
      try {
        const counter = await spawn('counter/0', { node: 'a' });
        process.kill(system.nodes[0]!.pid, 'SIGUSR1');
        for (let i = 1; i <= 5; i++) {
          assert.equal(await counter.ask.add(1, soon), i);
          await delay(20);
        }
      } finally {
        process.stderr.write = write;
      }
      assert.equal(said, '');
    });

    it('let their actors ask those elsewhere by name', async () => {
      const [onA] = await Promise.all([
        spawn('counter/0', { node: 'a' }),
        spawn('counter/1', { node: 'b' }),
        spawn('counter/2', 'thread'),
      ]);
      assert.equal(await onA.ask.addThrough({ to: 'counter/1', amount: 4 }, soon), 4);
      assert.equal(await onA.ask.addThrough({ to: 'counter/2', amount: 5 }, soon), 5);
    });

    it('restart an actor that crashed where it was', async () => {
      const counter = await spawn('counter/0', { node: 'b' });
      for (const [how, why] of [
        ['fatal', /the device is lost/],
        ['exit', /exited with code 3/],
      ] as const) {
        await assert.rejects(counter.ask.die(how, soon), (error: CxmindError) => {
          assert.equal(error.code, 'ACTOR_CRASHED');
          assert.match(error.message, why);
          return true;
        });
        assert.equal(await counter.ask.add(1, soon), 1);
        assert.equal(counter.address, 'counter/0@b');
      }
      assert.equal(await counter.ask.restarts(undefined, soon), 2);
    });

    it('end a handler there that heeds no cancelling, and take up the next message', async () => {
      const counter = await spawn('counter/0', { node: 'a' });
      const looping = counter.ask.die('loop', { timeoutMs: 100 });
      await assert.rejects(looping, { code: 'ACTOR_TIMEOUT' });
      assert.equal(await counter.ask.restarts(undefined, soon).catch(() => 'crashed'), 'crashed');
      assert.equal(await counter.ask.restarts(undefined, soon), 1);
      const heeded = counter.ask.wait({ ms: 9_000, heedsSignal: true }, { timeoutMs: 50 });
      await assert.rejects(heeded, { code: 'ACTOR_TIMEOUT' });
      assert.equal(await counter.ask.restarts(undefined, soon), 1);
    });

    it('make senders on another node wait while a mailbox is full', async () => {
      const [counter, sender] = await Promise.all([
        spawn('counter/0', { node: 'a' }, { mailboxCapacity: 1 }),
        spawn('counter/1', { node: 'b' }),
      ]);
      const enough = new AbortController();
      const long = { ms: 60_000, heedsSignal: true };
      const slow = counter.ask.wait(long, { timeoutMs: 60_000, signal: enough.signal });
      const outcome = assert.rejects(slow, { code: 'RUNTIME_CANCELLED' });
      let isTold = false;
      const told = sender.ask.tellTo('counter/0', soon).then(() => (isTold = true));
      await delay(100);
      assert.equal(isTold, false);
      enough.abort();
      await Promise.all([outcome, told]);
      assert.equal(await counter.ask.add(0, soon), 1);
    });
  });

  describe('that are started or lost', () => {
    beforeEach(begin);
    afterEach(() => system.shutdown());

    it('host actors on their main thread for a system in local mode, and end with one that exits', async () => {
      system = new ActorSystem({ localMode: true });
      await addNode('a');
      const counter = await spawn('counter/0', { node: 'a' });
      assert.deepEqual(await Promise.all([1, 2].map((n) => counter.ask.add(n, soon))), [1, 3]);
      const [node] = system.nodes;
      await assert.rejects(counter.ask.die('exit', soon), { code: 'ACTOR_CRASHED' });
      assert.equal((await node!.ended).code, 'PEER_LOST');
    });

    it('reject open asks when the process is killed, and restart its actors on another node with what they kept', async () => {
      await addNode('a');
      await addNode('b');
      const [counter, watcher] = await Promise.all([
        spawn('counter/0', { node: 'a' }),
        spawn('counter/1', { node: 'b' }),
      ]);
      await watcher.ask.watch('counter/0', soon);
      await counter.ask.add(5, soon);
      await counter.ask.keep(undefined, soon);
      const open = counter.ask.wait({ ms: 9_000, heedsSignal: false }, soon);
      const outcome = assert.rejects(open, { code: 'ACTOR_CRASHED' });
      const restarted = eventOf(counter, 'restarted');
      await delay(20);
      await kill('a');
      await outcome;
      assert.equal((await restarted).node, 'b');
      assert.equal(await counter.ask.add(1, soon), 6);
      assert.equal(counter.address, 'counter/0@b');
      assert.equal(await counter.ask.restarts(undefined, soon), 1);
      assert.deepEqual(await watcher.ask.heard(undefined, soon), [
        'crashed: ACTOR_CRASHED',
        'restarted',
      ]);
      assert.deepEqual(
        events.filter(({ event }) => event === 'node left').map(({ fields }) => fields['node']),
        ['a'],
      );
      await counter.ask.tellTo('counter/9', soon);
      assert.equal(system.deadLetters, 1);
    });

    it('stream items at the pace of the reader, until the process is killed', async () => {
      await addNode('a');
      const counter = await spawn('counter/0', { node: 'a' });
      const options = { ...soon, window: 4 };
      const hundred = counter.stream.count({ upTo: 100, failsAt: null }, options);
      assert.equal((await Array.fromAsync(hundred)).length, 100);
      const read: number[] = [];
      const reading = (async () => {
        for await (const item of counter.stream.count({ upTo: 1e9, failsAt: null }, options)) {
          read.push(item);
          if (item === 2) await kill('a');
        }
      })();
      await assert.rejects(reading, { code: 'ACTOR_CRASHED' });
      assert.ok(read.length >= 2 && read.length < 20);
    });

    it('finish the work of a pool while one of them is killed', async () => {
      await addNode('a');
      await addNode('b');
      const refs = await Promise.all([
        spawn('counter/0', { node: 'a' }),
        spawn('counter/1', { node: 'b' }),
      ]);
      const work = Array.from({ length: 20 }, () =>
        askAny(refs, 'wait', { ms: 20, heedsSignal: false }, { ...soon, retries: 2 }),
      );
      await delay(60);
      await kill('a');
      assert.deepEqual(
        await Promise.all(work),
        work.map(() => 'waited'),
      );
    });

    it('keep an actor waiting for a node when none is left, until its window has passed', async () => {
      await addNode('a');
      const counter = await spawn('counter/0', { node: 'a' });
      const crashed = eventOf(counter, 'crashed');
      await kill('a');
      await crashed;
      const asked = counter.ask.add(1, soon);
      await delay(50);
      assert.equal(counter.status, 'restarting');
      await addNode('b');
      assert.equal(await asked, 1);
      assert.equal(counter.address, 'counter/0@b');

      const impatient = await spawn(
        'counter/1',
        { node: 'b' },
        { supervision: { ...supervision, windowMs: 100, givenUp: 'stop' } },
      );
      const stopped = eventOf(impatient, 'stopped');
      await kill('b');
      assert.match((await stopped).error!.message, /wants 0 slots .* there is no such node/);
      assert.equal(impatient.status, 'stopped');
    });

    it('reject a start that cannot be: no room, no such node, no plain props, a factory that throws', async () => {
      await addNode('a', { resources: { slots: 1, devices: ['cuda:0'] } });
      await assert.rejects(spawn('counter/0', { node: 'z' }), {
        code: 'PLACEMENT_FAILED',
        message: 'counter/0: there is no node z',
      });
      await spawn('counter/1', { pool: 'nodes' });
      await assert.rejects(spawn('counter/2', { pool: 'nodes' }), {
        code: 'PLACEMENT_FAILED',
        message: /wants 1 slots and 0 devices, .* a has 0 slots and 1 devices free of 1 slots/,
      });
      assert.equal(system.lookup('counter/2', counterProtocol), undefined);
      const props = { start: 0, disposals: new SharedArrayBuffer(4) };
      await assert.rejects(spawn('counter/3', { node: 'a' }, { props }), {
        code: 'WIRE_INVALID',
        message: 'message: props.disposals is an instance of SharedArrayBuffer',
      });
      const failing = { start: 0, disposals: { $shared: 'd', sizeBytes: 4 }, failsToStart: true };
      await assert.rejects(spawn('counter/4', { node: 'a' }, { props: failing }), {
        code: 'CHECKPOINT_INVALID',
        message: 'no such checkpoint',
      });
    });

    it('are started anew when they are killed, and get their actors back', async () => {
      const node = await system.startProcess({ name: 'a', supervision });
      const counter = await spawn('counter/0', { node: 'a' });
      const restarted = eventOf(counter, 'restarted');
      process.kill(node.pid, 'SIGKILL');
      assert.equal((await restarted).node, 'a');
      assert.equal(await counter.ask.add(1, soon), 1);
      assert.notEqual(system.nodes[0]!.pid, node.pid);
      await system.nodes[0]!.close();
      assert.deepEqual(system.nodes, [], 'one that was closed stays so');
    });

    it('end by themselves when the process that leads them is killed, whatever their actors do', async () => {
      const program = fileURLToPath(new URL('../support/doomed-head.ts', import.meta.url));
      const head = spawnProcess(process.execPath, [program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = (await once(createInterface(head.stdout), 'line')) as [string];
      assert.ok(isRunning(Number(line)));
      head.kill('SIGKILL');
      await ended(Number(line));
    });
  });
});
