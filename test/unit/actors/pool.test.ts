import assert from 'node:assert/strict';
import * as t from 'io-ts';
import { askAny, leastBusy } from '../../../actors/runtime/pool.ts';
import { call, protocol } from '../../../actors/runtime/protocol.ts';
import type { ActorRef, ActorStatus } from '../../../actors/runtime/ref.ts';
import { CxmindError, type ErrorCode } from '../../../src/errors.ts';
import { fakeRef } from '../../support/fake-ref.ts';

const worker = protocol('worker', { work: call(t.string, t.string) });
type WorkerRef = ActorRef<typeof worker>;

/** A ref that fails with the given codes, one ask each, and then answers with its name. */
function refOf(
  name: string,
  options: {
    pending?: number;
    status?: ActorStatus;
    failures?: ErrorCode[];
    isBusier?: boolean;
  } = {},
): WorkerRef {
  const { pending = 0, status = 'running', isBusier = false } = options;
  const failures = [...(options.failures ?? [])];
  const work = (): Promise<string> => {
    if (isBusier) ref.pending++;
    const code = failures.shift();
    return code === undefined
      ? Promise.resolve(name)
      : Promise.reject(new CxmindError(code, `${name} failed`));
  };
  const ref = { ...fakeRef(name, worker, { work }), pending, status };
  return ref;
}

describe('leastBusy', () => {
  it('takes the ref with the fewest messages pending, the first of equals', () => {
    const refs = [2, 1, 1].map((pending, i) => refOf(`w/${i}`, { pending }));
    assert.equal(leastBusy(refs).name, 'w/1');
  });

  it('prefers one that runs to one that restarts, and that to none', () => {
    const restarting = refOf('w/0', { status: 'restarting' });
    assert.equal(leastBusy([restarting, refOf('w/1', { pending: 9 })]).name, 'w/1');
    assert.equal(leastBusy([refOf('w/1', { status: 'stopped' }), restarting]).name, 'w/0');
  });

  it('rejects when all are stopped', () => {
    assert.throws(() => leastBusy([refOf('w/0', { status: 'stopped' })]), {
      code: 'ACTOR_STOPPED',
      message: 'none of [w/0] runs',
    });
  });
});

describe('askAny', () => {
  const ask = (refs: WorkerRef[], retries: number): Promise<string> =>
    askAny(refs, 'work', 'x', { timeoutMs: 100, retries });

  it('asks another when one crashed', async () => {
    const refs = [refOf('w/0', { failures: ['ACTOR_CRASHED'], isBusier: true }), refOf('w/1')];
    assert.equal(await ask(refs, 1), 'w/1');
  });

  it('rejects with the last failure when the retries are used up', async () => {
    const failures: ErrorCode[] = ['ACTOR_CRASHED', 'ACTOR_TIMEOUT', 'ACTOR_CRASHED'];
    await assert.rejects(ask([refOf('w/0', { failures })], 1), { code: 'ACTOR_TIMEOUT' });
    assert.equal(await ask([refOf('w/0', { failures })], 3), 'w/0');
  });

  it('does not ask again for an error of the handler', async () => {
    await assert.rejects(ask([refOf('w/0', { failures: ['DATA_INVALID'] })], 5), {
      code: 'DATA_INVALID',
    });
  });
});
