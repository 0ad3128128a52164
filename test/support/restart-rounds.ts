import assert from 'node:assert/strict';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { spawnHoarder } from './hoarder-actor.ts';
import { LivingWorkers } from './living-workers.ts';
import { resident } from './resident-memory.ts';

/** A program that says what is resident after 400 restarts of an actor on its thread, and after 400 more, thrice. */
using workers = new LivingWorkers();
await using system = new ActorSystem();
const hoarder = await spawnHoarder(system);
const thread = workers.find('hoarder/0');
const soon = { timeoutMs: 20_000 };

async function restarts(times: number): Promise<number> {
  for (let i = 0; i < times; i++) {
    await assert.rejects(hoarder.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
    await hoarder.ask.ones(1, soon);
  }
  await hoarder.ask.collect(undefined, soon);
  return resident();
}

const levels: number[] = [];
for (let window = 0; window < 4; window++) levels.push(await restarts(400));
assert.equal(workers.find('hoarder/0'), thread, 'the thread was kept');
process.stdout.write(JSON.stringify(levels));
