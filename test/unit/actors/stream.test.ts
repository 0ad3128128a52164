import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { StreamInbox, StreamOutlet } from '../../../actors/runtime/stream.ts';
import { CxmindError } from '../../../src/errors.ts';
import { decodeBody, encodeBody } from '../../../transport/codec.ts';

describe('StreamInbox', () => {
  it('gives items in order, then ends', async () => {
    const inbox = new StreamInbox(4, () => undefined);
    for (const item of ['a', 'b']) inbox.push(encodeBody(item));
    const read = Array.fromAsync(inbox.read(), decodeBody);
    await turn();
    inbox.push(encodeBody('c'));
    inbox.end();
    inbox.push(encodeBody('late'));
    assert.deepEqual(await read, ['a', 'b', 'c']);
  });

  it('throws its error after the items that came', async () => {
    const inbox = new StreamInbox(4, () => undefined);
    inbox.push(encodeBody('a'));
    inbox.end(new CxmindError('ACTOR_CRASHED', 'gone'));
    const items = inbox.read();
    assert.equal((await items.next()).done, false);
    await assert.rejects(items.next(), { code: 'ACTOR_CRASHED' });
  });

  it('gives credit for what was read, half a window at a time', async () => {
    const credits: number[] = [];
    const inbox = new StreamInbox(4, (count) => credits.push(count));
    for (let i = 0; i < 4; i++) inbox.push(encodeBody(i));
    const items = inbox.read();
    await items.next();
    assert.deepEqual(credits, [], 'an item is read once the next is asked for');
    for (let i = 0; i < 3; i++) await items.next();
    assert.deepEqual(credits, [2]);
  });
});

describe('StreamOutlet', () => {
  it('has room for as many items as it has credit', async () => {
    const outlet = new StreamOutlet(1);
    const { signal } = new AbortController();
    await outlet.room(signal);
    let hasRoom = false;
    const waiting = outlet.room(signal).then(() => (hasRoom = true));
    await turn();
    assert.equal(hasRoom, false);
    outlet.credit(1);
    await waiting;
  });

  it('stops waiting for credit when it is aborted', async () => {
    const outlet = new StreamOutlet(0);
    const abort = new AbortController();
    const waiting = outlet.room(abort.signal);
    abort.abort(new CxmindError('RUNTIME_CANCELLED', 'enough'));
    await assert.rejects(waiting, { code: 'RUNTIME_CANCELLED' });
    await assert.rejects(outlet.room(abort.signal), { code: 'RUNTIME_CANCELLED' });
  });
});
