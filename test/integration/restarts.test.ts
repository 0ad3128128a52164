import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ActorRef } from '../../actors/runtime/ref.ts';
import type { Supervision } from '../../actors/runtime/supervisor.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { CounterActor, counterProtocol } from '../support/counter-actor.ts';

const soon = { timeoutMs: 30_000 };
const supervision: Supervision = {
  onCrash: 'restart',
  maxRestarts: Infinity,
  windowMs: 100,
  minBackoffMs: 0,
  maxBackoffMs: 0,
  givenUp: 'escalate',
};

describe('many restarts', () => {
  let system: ActorSystem;
  beforeEach(() => (system = new ActorSystem()));
  afterEach(() => system.shutdown());

  async function restart(counter: ActorRef<typeof counterProtocol>, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await assert.rejects(counter.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
      await counter.ask.keep(undefined, soon);
    }
  }

  it('leave nothing of two thousand lives in the heap', async () => {
    const props = { start: 0, disposals: new SharedArrayBuffer(4) };
    const counter = await system.spawnLocal({
      name: 'counter/0',
      protocol: counterProtocol,
      supervision,
      create: (environment) => new CounterActor(props, environment),
    });
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
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
    const counter = await system.spawn({
      name: 'counter/0',
      protocol: counterProtocol,
      module: new URL('../support/counter-actor.ts', import.meta.url),
      create: 'createCounter',
      props: { start: 0, disposals: new SharedArrayBuffer(4) },
      supervision,
    });
    const resources = (): number => process.getActiveResourcesInfo().length;
    await restart(counter, 2);
    const before = resources();
    await restart(counter, 20);
    assert.ok(resources() <= before + 1, `${resources()} resources after ${before}`);
  });
});
