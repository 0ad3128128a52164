import assert from 'node:assert/strict';
import { setImmediate as turn, setTimeout } from 'node:timers/promises';
import * as t from 'io-ts';
import { fatal, type Actor, type ActorEvent, type Logger } from '../../../actors/runtime/actor.ts';
import { Cell, type CellOptions } from '../../../actors/runtime/cell.ts';
import type { Launcher } from '../../../actors/runtime/incarnation.ts';
import { startLocal } from '../../../actors/runtime/launchers.ts';
import { call, protocol } from '../../../actors/runtime/protocol.ts';
import { defaultSupervision } from '../../../actors/runtime/supervisor.ts';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import { WorkWatch } from '../../../actors/runtime/work.ts';
import { CxmindError } from '../../../src/errors.ts';
import { encodeBody } from '../../../transport/codec.ts';
import { ownMemory } from '../../../transport/shared/payload-memory.ts';

const frail = protocol('frail', { die: call(t.void, t.void) });
const actor: Actor<typeof frail> = {
  die() {
    throw fatal(new CxmindError('INTERNAL', 'it was asked to'));
  },
};

/** A logger that keeps what is said at level error. */
function listening(): { logger: Logger; said: { event: string; error: unknown }[] } {
  const said: { event: string; error: unknown }[] = [];
  const nothing = (): void => undefined;
  const error = (fields: object, event: string): void => {
    said.push({ event, error: (fields as { error?: { message: string } }).error?.message });
  };
  return { logger: { debug: nothing, info: nothing, warn: nothing, error }, said };
}

describe('Cell', () => {
  const events: ActorEvent['kind'][] = [];
  beforeEach(() => void events.splice(0));

  const launcher: Launcher = {
    node: undefined,
    launch: (start) =>
      Promise.resolve(
        startLocal({ ...start, name: 'frail', node: undefined, devices: [] }, () =>
          Promise.resolve({ protocol: frail, actor }),
        ),
      ),
    heapBytes: () => null,
    release: () => Promise.resolve(),
  };

  /** A cell of the frail actor. */
  function frailCell(options: Partial<CellOptions>): Cell {
    return new Cell({
      name: 'frail',
      launcher,
      supervision: { onCrash: 'stop' },
      mailboxCapacity: 4,
      graceMs: 1000,
      uses: new Set(),
      logger: listening().logger,
      payloads: ownMemory,
      work: new WorkWatch(),
      find: () => undefined,
      watch: () => ({ [Symbol.dispose]: () => undefined }),
      onDeadLetter: () => undefined,
      onEvent: ({ kind }) => events.push(kind),
      onEscalate: () => undefined,
      ...options,
    });
  }

  it('ends, and says so, when what the actor claimed cannot be given back', async () => {
    const { logger, said } = listening();
    const release = (): Promise<void> => Promise.reject(new Error('the node hung up'));
    const cell = frailCell({ logger, launcher: { ...launcher, release } });
    await cell.start();
    await cell.stop();
    assert.equal(cell.status, 'stopped');
    assert.deepEqual(events, ['started', 'stopped']);
    assert.deepEqual(said, [{ event: 'actor not released', error: 'the node hung up' }]);
  });

  it('is not launched again when a listener stops it as it crashes', async () => {
    const supervision = { ...defaultSupervision, minBackoffMs: 1 };
    const cell = frailCell({
      supervision,
      onEvent: ({ kind }) => {
        events.push(kind);
        if (kind === 'crashed') void cell.stop();
      },
    });
    await cell.start();
    await assert.rejects(cell.ask('die', encodeBody(undefined), { timeoutMs: 5000 }));
    await cell.stop();
    await setTimeout(20);
    assert.equal(cell.status, 'stopped');
    assert.deepEqual(events, ['started', 'crashed', 'stopped']);
  });
});

describe('ActorSystem.watch', () => {
  it('has an actor live, restart and stop in spite of a listener that throws', async () => {
    const { logger, said } = listening();
    await using system = new ActorSystem({ logger });
    const heard: string[] = [];
    system.watch({ name: 'frail' }, ({ kind }) => {
      throw new Error(`not ${kind}`);
    });
    system.watch({ name: 'frail' }, ({ kind }) => heard.push(kind));
    const supervision = { ...defaultSupervision, minBackoffMs: 1 };
    const create = (): Actor<typeof frail> => actor;
    const ref = await system.spawnLocal({ name: 'frail', protocol: frail, create, supervision });
    await assert.rejects(ref.ask.die(undefined, { timeoutMs: 1000 }), { code: 'ACTOR_CRASHED' });
    while (!heard.includes('restarted')) await turn();
    await system.stop(ref);
    assert.deepEqual(heard, ['started', 'crashed', 'restarted', 'stopped']);
    const failures = said.filter(({ event }) => event.startsWith('watcher'));
    assert.deepEqual(
      failures.map(({ event, error }) => `${event}: ${String(error)}`),
      heard.map((kind) => `watcher of ${kind} failed: not ${kind}`),
    );
  });
});
