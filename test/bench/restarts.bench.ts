import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { counterProtocol } from '../support/counter-actor.ts';
import { now, print } from './harness.ts';

const module = new URL('../support/counter-actor.ts', import.meta.url);
const [warmUps, restarts] = [100, 400];
const timeoutMs = 60_000;

type Side = 'actor' | 'bareWorker';

/**
 * What a crash and restart of an actor on a thread leaves in resident memory and how long it takes, beside a bare
 * worker that imports the same module and exits: Node's own threads leave some, so the peer says what is ours. Each
 * side has a process of its own, for what one leaves the other may use.
 */
export function benchRestarts(): Promise<void> {
  for (const side of ['actor', 'bareWorker'] satisfies Side[]) {
    const flags = ['--expose-gc', import.meta.filename, side];
    const line = execFileSync(process.execPath, flags, { encoding: 'utf8' });
    const { leftKib, millis } = JSON.parse(line) as { leftKib: number; millis: number };
    const params = { warmUps, restarts };
    print({ name: `restarts.${side}.leftResident`, params, unit: 'KiB each' }, [leftKib]);
    print({ name: `restarts.${side}.time`, params, unit: 'ms' }, [millis]);
  }
  return Promise.resolve();
}

async function measure(restart: () => Promise<void>): Promise<void> {
  for (let i = 0; i < warmUps; i++) await restart();
  globalThis.gc!();
  const [residentBytes, start] = [process.memoryUsage.rss(), now()];
  for (let i = 0; i < restarts; i++) await restart();
  const millis = ((now() - start) * 1e3) / restarts;
  globalThis.gc!();
  const leftKib = (process.memoryUsage.rss() - residentBytes) / 1024 / restarts;
  process.stdout.write(JSON.stringify({ leftKib, millis }));
}

async function measureActor(): Promise<void> {
  await using system = new ActorSystem();
  const counter = await system.spawn({
    name: 'counter/0',
    protocol: counterProtocol,
    module,
    create: 'createCounter',
    props: { start: 0, disposals: new SharedArrayBuffer(4) },
    supervision: {
      onCrash: 'restart',
      maxRestarts: Infinity,
      windowMs: 60_000,
      minBackoffMs: 0,
      maxBackoffMs: 0,
      givenUp: 'escalate',
    },
  });
  await measure(async () => {
    await counter.ask.die('fatal', { timeoutMs }).catch(() => undefined);
    await counter.ask.add(1, { timeoutMs });
  });
}

function measureBareWorker(): Promise<void> {
  const source = `import(${JSON.stringify(module.href)}).then(() => process.exit(1))`;
  return measure(async () => {
    await once(new Worker(source, { eval: true }), 'exit');
  });
}

if (import.meta.main) {
  if ((process.argv[2] as Side) === 'actor') await measureActor();
  else await measureBareWorker();
}
