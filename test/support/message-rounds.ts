import { ActorSystem } from '../../actors/runtime/system.ts';
import { spawnHoarder } from './hoarder-actor.ts';
import { resident } from './resident-memory.ts';

/** A program that says what is resident after 50,000 messages to an actor on a thread, and after as many more, thrice. */
await using system = new ActorSystem();
const hoarder = await spawnHoarder(system);

async function messages(): Promise<number> {
  for (let i = 0; i < 50; i++) {
    const asks = Array.from({ length: 1_000 }, () => {
      return hoarder.ask.count(undefined, { timeoutMs: 20_000 });
    });
    await Promise.all(asks);
  }
  return resident();
}

const levels: number[] = [];
for (let round = 0; round < 4; round++) levels.push(await messages());
process.stdout.write(JSON.stringify(levels));
