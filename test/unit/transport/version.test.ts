import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { SharedVersion, VERSION_BYTES } from '../../../transport/shared/version.ts';

describe('SharedVersion', () => {
  const { signal } = new AbortController();
  let memory: SharedArrayBuffer;
  let version: SharedVersion;
  beforeEach(() => {
    memory = new SharedArrayBuffer(VERSION_BYTES);
    version = new SharedVersion(memory);
  });

  it('begins with a block that was never written', () => {
    assert.equal(version.current, 0);
    assert.throws(() => version.confirm(1), { code: 'RUNTIME_CANCELLED' });
  });

  it('has readers wait until their version is written, whoever writes it', async () => {
    const reached: number[] = [];
    const readers = [1, 2].map(async (wanted) => {
      await new SharedVersion(memory).reach(wanted, signal);
      reached.push(wanted);
    });
    version.publish(1);
    await readers[0];
    assert.deepEqual(reached, [1]);
    version.beginWrite();
    version.publish(2);
    await Promise.all(readers);
    assert.deepEqual(reached, [1, 2]);
    await version.reach(2, signal);
  });

  it('refuses a version that was written over', async () => {
    version.publish(3);
    await assert.rejects(version.reach(2, signal), {
      code: 'RUNTIME_CANCELLED',
      message: 'the block is not at version 2: it is at version 3',
    });
    version.beginWrite();
    assert.throws(() => version.confirm(3), {
      code: 'RUNTIME_CANCELLED',
      message: 'the block is not at version 3: it is being written, or never was',
    });
  });

  it('lets a reader go that nobody waits for any more', async () => {
    const giveUp = new AbortController();
    const waiting = version.reach(1, giveUp.signal);
    const other = version.reach(1, signal);
    giveUp.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
    version.publish(1);
    await other;
  });

  it('notices a version whose writer died before it could say so', async () => {
    const waiting = version.reach(1, signal);
    Atomics.store(new Int32Array(memory), 0, 1);
    await waiting;
  });

  it('leaves nothing behind on the signal of a reader that is done', async () => {
    const { signal: own } = new AbortController();
    version.publish(1);
    await version.reach(1, own);
    await assert.rejects(version.reach(0, own));
    assert.equal(getEventListeners(own, 'abort').length, 0);
  });
});
