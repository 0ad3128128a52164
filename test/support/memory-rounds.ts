import assert from 'node:assert/strict';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { spawnHoarder } from './hoarder-actor.ts';
import { LivingWorkers } from './living-workers.ts';
import { resident } from './resident-memory.ts';

/**
 * A program that prints the resident memory after each of four rounds. Its argument says what a round is: 50,000
 * `messages` to an actor on a thread, or 400 `restarts` of it on its thread.
 */
using workers = new LivingWorkers();
await using system = new ActorSystem();
const hoarder = await spawnHoarder(system);
const thread = workers.find('hoarder/0');
const soon = { timeoutMs: 20_000 };

async function messages(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await Promise.all(Array.from({ length: 1_000 }, () => hoarder.ask.count(undefined, soon)));
  }
}

async function restarts(): Promise<void> {
  for (let i = 0; i < 400; i++) {
    await assert.rejects(hoarder.ask.die('fatal', soon), { code: 'ACTOR_CRASHED' });
    await hoarder.ask.ones(1, soon);
  }
  await hoarder.ask.collect(undefined, soon);
}

const takeRound = process.argv[2] === 'messages' ? messages : restarts;
const levels: number[] = [];
for (let round = 0; round < 4; round++) {
  await takeRound();
  levels.push(await resident());
}
assert.equal(workers.find('hoarder/0'), thread, 'the thread was kept');
process.stdout.write(JSON.stringify(levels));
