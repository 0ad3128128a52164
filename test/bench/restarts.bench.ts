import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { hasty, spawnCounter } from '../support/counter-actor.ts';
import { resident } from '../support/resident-memory.ts';
import { now, print } from './harness.ts';

const module = new URL('../support/counter-actor.ts', import.meta.url);
const timeoutMs = 60_000;

/** Restarts of each side, before anything is measured and then. */
const sides = {
  actor: { warmUps: 500, restarts: 2_000 },
  bareWorker: { warmUps: 100, restarts: 400 },
} as const;
type Side = keyof typeof sides;

/**
 * Measures the resident memory that a crash and restart of an actor on a thread leaves, and its duration, beside a bare
 * worker that imports the same module and exits. Node's own threads leave some each, so the actor keeps its thread.
 * Each side has a process of its own, since one could use the memory that the other leaves.
 */
export function benchRestarts(): Promise<void> {
  for (const [side, params] of Object.entries(sides)) {
    const line = execFileSync(process.execPath, [import.meta.filename, side], { encoding: 'utf8' });
    const { leftKib, growth, millis } = JSON.parse(line) as Measured;
    print({ name: `restarts.${side}.leftResident`, params, unit: 'KiB each' }, [leftKib]);
    print({ name: `restarts.${side}.growth`, params, unit: '% of resident memory' }, [growth]);
    print({ name: `restarts.${side}.time`, params, unit: 'ms' }, [millis]);
  }
  return Promise.resolve();
}

interface Measured {
  readonly leftKib: number;
  /** Over all restarts, in percent. */
  readonly growth: number;
  readonly millis: number;
}

async function measure(side: Side, restart: () => Promise<void>): Promise<void> {
  const { warmUps, restarts } = sides[side];
  for (let i = 0; i < warmUps; i++) await restart();
  const before = await resident();
  const start = now();
  for (let i = 0; i < restarts; i++) await restart();
  const millis = ((now() - start) * 1e3) / restarts;
  const left = (await resident()) - before;
  const leftKib = (left * 1024) / restarts;
  const measured: Measured = { leftKib, growth: (100 * left) / before, millis };
  process.stdout.write(JSON.stringify(measured));
}

async function measureActor(): Promise<void> {
  await using system = new ActorSystem();
  const counter = await spawnCounter['worker thread'](system, {
    supervision: { ...hasty, maxRestarts: Infinity, minBackoffMs: 0, maxBackoffMs: 0 },
  });
  await measure('actor', async () => {
    await counter.ask.die('fatal', { timeoutMs }).catch(() => undefined);
    await counter.ask.add(1, { timeoutMs });
  });
}

function measureBareWorker(): Promise<void> {
  const source = `import(${JSON.stringify(module.href)}).then(() => process.exit(1))`;
  return measure('bareWorker', async () => {
    await once(new Worker(source, { eval: true }), 'exit');
  });
}

if (import.meta.main) {
  if ((process.argv[2] as Side) === 'actor') await measureActor();
  else await measureBareWorker();
}
