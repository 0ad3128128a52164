import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { spawnCounter, type CounterRef } from '../support/counter-actor.ts';

const soon = { timeoutMs: 10_000 };
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

for (const place of ['worker thread', 'same thread'] as const) {
  describe(`streams from the ${place}`, () => {
    let system: ActorSystem;
    let counter: CounterRef;
    let disposals: SharedArrayBuffer;

    const spawn = (name: string): Promise<CounterRef> =>
      spawnCounter[place](system, { name, props: { start: 0, disposals } });

    beforeEach(async () => {
      system = new ActorSystem();
      disposals = new SharedArrayBuffer(12);
      counter = await spawn('counter/0');
    });
    afterEach(() => system.shutdown());

    it('bring every item in order, then end', async () => {
      const items = counter.stream.count({ upTo: 100, failsAt: null }, { ...soon, window: 8 });
      assert.deepEqual(await Array.fromAsync(items), upTo(100));
      assert.equal(counter.pending, 0);
    });

    it('do not begin before they are read', async () => {
      const items = counter.stream.count({ upTo: 3, failsAt: null }, soon);
      assert.equal(counter.pending, 0);
      assert.equal((await counter.ask.counted(undefined, soon)).made, 0);
      assert.deepEqual(await Array.fromAsync(items), [1, 2, 3]);
    });

    it('make the actor wait for the reader', async () => {
      const items = counter.stream.count({ upTo: 100, failsAt: null }, { ...soon, window: 4 });
      for await (const item of items) {
        while (new Int32Array(disposals)[2]! < 4) await delay(1);
        if (item === 1) await delay(20);
        if (item === 2) break;
      }
      const { made } = await counter.ask.counted(undefined, soon);
      assert.ok(made >= 4 && made <= 8, `it made ${made} items for 2 that were read`);
    });

    it('end in the actor when the reader leaves', async () => {
      for await (const item of counter.stream.count({ upTo: 1e6, failsAt: null }, soon)) {
        if (item === 3) break;
      }
      const { made, ended } = await counter.ask.counted(undefined, soon);
      assert.equal(ended, 1);
      assert.ok(made < 100);
      assert.equal(await counter.ask.restarts(undefined, soon), 0);
    });

    it('throw what the actor throws, after the items before it', async () => {
      const read: number[] = [];
      const reading = (async () => {
        const items = counter.stream.count({ upTo: 9, failsAt: 4 }, soon);
        for await (const item of items) read.push(item);
      })();
      await assert.rejects(reading, { code: 'DATA_INVALID', message: 'no 4' });
      assert.deepEqual(read, [1, 2, 3]);
    });

    it('end at the deadline, by the signal, and with the system', async () => {
      const endless = { upTo: 1e9, failsAt: null };
      const late = Array.fromAsync(counter.stream.count(endless, { timeoutMs: 50 }));
      await assert.rejects(late, { code: 'ACTOR_TIMEOUT' });
      const abort = new AbortController();
      const options = { ...soon, signal: abort.signal };
      const cancelled = Array.fromAsync(counter.stream.count(endless, options));
      const outcome = assert.rejects(cancelled, { code: 'RUNTIME_CANCELLED' });
      await delay(20);
      abort.abort();
      await outcome;
      await assert.rejects(Array.fromAsync(counter.stream.count(endless, options)), {
        code: 'RUNTIME_CANCELLED',
      });
      const stopped = assert.rejects(Array.fromAsync(counter.stream.count(endless, soon)), {
        code: 'ACTOR_STOPPED',
      });
      await delay(20);
      await system.shutdown();
      await stopped;
      await assert.rejects(Array.fromAsync(counter.stream.count(endless, soon)), {
        code: 'ACTOR_STOPPED',
      });
    });

    it('pass through another actor, whose reader sets the pace of both', async () => {
      const other = await spawn('counter/1');
      const through = { to: 'counter/0', upTo: 200 };
      const items = other.stream.countThrough(through, { ...soon, window: 4 });
      const read: number[] = [];
      for await (const item of items) {
        if (item === 1) await delay(50);
        read.push(item);
        if (item === 5) break;
      }
      assert.deepEqual(read, upTo(5));
      const { made, ended } = await counter.ask.counted(undefined, soon);
      assert.equal(ended, 1);
      assert.ok(made < 40, `it made ${made} items for 5 that were read`);
      const all = other.stream.countThrough(through, { ...soon, window: 4 });
      assert.deepEqual(await Array.fromAsync(all), upTo(200));
      const lost = other.stream.countThrough({ to: 'counter/9', upTo: 1 }, soon);
      await assert.rejects(Array.fromAsync(lost), { code: 'ACTOR_STOPPED' });
    });
  });
}
