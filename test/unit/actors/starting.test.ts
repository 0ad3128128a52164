import assert from 'node:assert/strict';
import * as t from 'io-ts';
import { call, protocol } from '../../../actors/runtime/protocol.ts';
import { ActorSystem } from '../../../actors/runtime/system.ts';

const slow = protocol('slow', { done: call(t.void, t.void) });

describe('an actor that is starting', () => {
  it('is ended when nobody waits for it any more, with the reason', async () => {
    const interrupted = new AbortController();
    await using system = new ActorSystem({ signal: interrupted.signal });
    const reason = new Error('interrupted');
    const spawned = system.spawnLocal({
      name: 'slow',
      protocol: slow,
      create: () => {
        interrupted.abort(reason);
        return new Promise<never>(() => undefined);
      },
      graceMs: 10,
    });
    await assert.rejects(spawned, (error) => error === reason);
    assert.equal(system.lookup('slow', slow), undefined);
  });
});
