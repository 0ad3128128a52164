import { ActorSystem } from '../../actors/runtime/system.ts';
import { spawnCounter } from './counter-actor.ts';

/** A program with a node whose actor loops for ever; it says the node's process and waits to be killed. */
const system = new ActorSystem();
const node = await system.startProcess({ name: 'a' });
const counter = await spawnCounter['worker thread'](system, {
  place: { node: 'a' },
  props: { start: 0, disposals: { $shared: 'disposals', sizeBytes: 4 } },
});
const looping = counter.ask.die('loop', { timeoutMs: 600_000 });
process.stdout.write(`${node.pid}\n`);
await looping;
