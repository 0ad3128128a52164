import assert from 'node:assert/strict';
import type { Supervision } from '../../actors/runtime/supervisor.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { garbageCollector } from '../../src/collector.ts';
import { hasty, spawnCounter, type CounterRef } from '../support/counter-actor.ts';

const soon = { timeoutMs: 30_000 };
const supervision: Supervision = {
  ...hasty,
  ...{ maxRestarts: Infinity, windowMs: 100, minBackoffMs: 0, maxBackoffMs: 0 },
};

describe('many restarts', () => {
  let system: ActorSystem;
  beforeEach(() => (system = new ActorSystem()));
  afterEach(() => system.shutdown());

  async function restart(counter: CounterRef, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      await counter.ask.keep(undefined, soon);
    }
  }

  it('leave nothing of two thousand lives in the heap', async () => {
    const counter = await spawnCounter['same thread'](system, { supervision });
    const collect = garbageCollector()!;
    await restart(counter, 500);
    collect();
    const start = process.memoryUsage().heapUsed;
    await restart(counter, 2000);
    collect();
    const perLife = (process.memoryUsage().heapUsed - start) / 2000;
    assert.ok(perLife < 200, `${perLife} bytes of heap left by each life`);
    assert.equal(await counter.ask.restarts(undefined, soon), 2500);
  });

  it('leave no thread, no port and no timer', async () => {
    const counter = await spawnCounter['worker thread'](system, { supervision });
    const resources = (): number => process.getActiveResourcesInfo().length;
    await restart(counter, 2);
    const before = resources();
    await restart(counter, 20);
    assert.ok(resources() <= before + 1, `${resources()} resources after ${before}`);
  });
});
