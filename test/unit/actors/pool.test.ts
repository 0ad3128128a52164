import assert from 'node:assert/strict';
import * as t from 'io-ts';
import { askAny, leastBusy } from '../../../actors/runtime/pool.ts';
import { call, protocol } from '../../../actors/runtime/protocol.ts';
import { refOver, type ActorRef, type ActorStatus } from '../../../actors/runtime/ref.ts';
import { CxmindError, type ErrorCode } from '../../../src/errors.ts';
import { encodeBody } from '../../../transport/codec.ts';

const worker = protocol('worker', { work: call(t.string, t.string) });
type WorkerRef = ActorRef<typeof worker>;

async function* noItems(): AsyncGenerator<never> {}

/** A ref that fails with the given codes, one ask each, and then answers with its name. */
function fakeRef(
  name: string,
  options: {
    pending?: number;
    status?: ActorStatus;
    failures?: ErrorCode[];
    isBusier?: boolean;
  } = {},
): WorkerRef {
  const failures = [...(options.failures ?? [])];
  let pending = options.pending ?? 0;
  return refOver(worker, name, {
    address: name,
    get pending() {
      return pending;
    },
    status: options.status ?? 'running',
    ask() {
      const code = failures.shift();
      if (options.isBusier === true) pending++;
      return code === undefined
        ? Promise.resolve(encodeBody(name))
        : Promise.reject(new CxmindError(code, `${name} failed`));
    },
    tell: () => Promise.resolve(),
    stream: noItems,
  });
}

describe('leastBusy', () => {
  it('takes the ref with the fewest messages pending, the first of equals', () => {
    const refs = [2, 1, 1].map((pending, i) => fakeRef(`w/${i}`, { pending }));
    assert.equal(leastBusy(refs).name, 'w/1');
  });

  it('prefers one that runs to one that restarts, and that to none', () => {
    const restarting = fakeRef('w/0', { status: 'restarting' });
    assert.equal(leastBusy([restarting, fakeRef('w/1', { pending: 9 })]).name, 'w/1');
    assert.equal(leastBusy([fakeRef('w/1', { status: 'stopped' }), restarting]).name, 'w/0');
  });

  it('rejects when all are stopped', () => {
    assert.throws(() => leastBusy([fakeRef('w/0', { status: 'stopped' })]), {
      code: 'ACTOR_STOPPED',
      message: 'none of [w/0] runs',
    });
  });
});

describe('askAny', () => {
  const ask = (refs: WorkerRef[], retries: number): Promise<string> =>
    askAny(refs, 'work', 'x', { timeoutMs: 100, retries });

  it('asks another when one crashed', async () => {
    const refs = [fakeRef('w/0', { failures: ['ACTOR_CRASHED'], isBusier: true }), fakeRef('w/1')];
    assert.equal(await ask(refs, 1), 'w/1');
  });

  it('rejects with the last failure when the retries are used up', async () => {
    const failures: ErrorCode[] = ['ACTOR_CRASHED', 'ACTOR_TIMEOUT', 'ACTOR_CRASHED'];
    await assert.rejects(ask([fakeRef('w/0', { failures })], 1), { code: 'ACTOR_TIMEOUT' });
    assert.equal(await ask([fakeRef('w/0', { failures })], 3), 'w/0');
  });

  it('does not ask again for an error of the handler', async () => {
    await assert.rejects(ask([fakeRef('w/0', { failures: ['DATA_INVALID'] })], 5), {
      code: 'DATA_INVALID',
    });
  });
});
