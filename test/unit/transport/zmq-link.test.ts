import assert from 'node:assert/strict';
import type { Channel } from '../../../transport/channel.ts';
import type { Link } from '../../../transport/link.ts';
import { join, startHead } from '../../support/link-pair.ts';
import { Inbox, numbered, numberOf } from '../../support/packets.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const nextChannel = (link: Link): Promise<Channel> =>
  new Promise((resolve) => link.onChannel(resolve));

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('ZmqLink', () => {
  it('tells each end what the other calls itself', async () => {
    await using head = await startHead({ name: 'the head' });
    await using far = await join(head, { name: 'näher' });
    const near = await head.nextLink();
    assert.equal(far.peer, 'the head');
    assert.equal(near.peer, 'näher');
  });

  it('gives channels that were opened early to a listener that was set late', async () => {
    await using head = await startHead();
    await using far = await join(head);
    const [first, second] = [far.open(), far.open()];
    first.send(numbered(1));
    second.send(numbered(2));
    const near = await head.nextLink();
    await sleep(20);
    const inboxes: Inbox[] = [];
    near.onChannel((channel) => inboxes.push(new Inbox(channel)));
    const packets = await Promise.all(inboxes.map((inbox) => inbox.next()));
    assert.deepEqual(packets.map(numberOf), [1, 2]);
  });

  it('delivers everything that was sent before an orderly close, by either side', async () => {
    for (const closer of ['far', 'near'] as const) {
      await using head = await startHead();
      const far = await join(head);
      const near = await head.nextLink();
      const [from, to] = closer === 'far' ? [far, near] : [near, far];
      const channel = from.open();
      const opened = nextChannel(to);
      for (let i = 0; i < 100; i++) channel.send(numbered(i, i % 10 === 0 ? 3_000_000 : 0));
      await from[Symbol.asyncDispose]();
      const inbox = new Inbox(await opened);
      const packets = await inbox.count(100);
      assert.deepEqual(packets.map(numberOf), [...Array(100).keys()]);
      assert.equal(await from.ended, undefined);
      assert.equal(await to.ended, undefined);
      await (
        await opened
      ).closed;
    }
  });

  it('may be closed by both ends at once, large packets on their way or not', async () => {
    for (const sizeBytes of [0, 3_000_000]) {
      await using head = await startHead();
      const links = [await join(head), await head.nextLink()];
      for (const link of links) link.open().send(numbered(1, sizeBytes));
      await Promise.all(links.map((link) => link[Symbol.asyncDispose]()));
      for (const link of links) {
        assert.equal(await link.ended, undefined);
        await link.open().closed;
      }
    }
  });

  it('loses nothing, repeats nothing and keeps the order over connections that are reset', async () => {
    const heartbeat = { intervalMs: 50, deadAfterMs: 20_000 };
    await using head = await startHead({ heartbeat });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    await using far = await join(head, { heartbeat, endpoint: proxy.endpoint });
    const near = await head.nextLink();
    const [there, back] = [far.open(), near.open()];
    const inboxes = [nextChannel(near), nextChannel(far)].map(async (channel) => {
      return new Inbox(await channel);
    });
    const count = 300;
    for (let i = 0; i < count; i++) {
      const frameBytes = i % 5 === 0 ? 500_000 : i % 7;
      there.send(numbered(i, frameBytes));
      back.send(numbered(i, frameBytes));
      if (i % 100 === 50) proxy.cut();
      if (i % 100 === 99) proxy.heal();
      await sleep(2);
    }
    for (const inbox of inboxes) {
      const packets = await (await inbox).count(count);
      packets.forEach((packet, i) => {
        assert.equal(numberOf(packet), i);
        for (const frame of packet.frames) {
          assert.equal(Buffer.compare(frame, Buffer.alloc(frame.length, i & 255)), 0);
        }
      });
    }
  });

  it('makes its connections anew where they carry nothing more', async () => {
    const heartbeat = { intervalMs: 30, deadAfterMs: 20_000 };
    await using head = await startHead({ heartbeat });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    const impatient = { intervalMs: 30, deadAfterMs: 900 };
    await using far = await join(head, { heartbeat: impatient, endpoint: proxy.endpoint });
    const near = await head.nextLink();
    const channel = near.open();
    const inbox = new Inbox(await nextChannel(far));
    channel.send(numbered(0));
    await inbox.count(1);
    proxy.stall();
    for (let i = 1; i < 20; i++) channel.send(numbered(i, i * 10_000));
    const packets = await inbox.count(20);
    assert.deepEqual(packets.map(numberOf), [...Array(20).keys()]);
  });

  it('ends with PEER_LOST on both sides when the silence lasts, and its channels close', async () => {
    const heartbeat = { intervalMs: 20, deadAfterMs: 200 };
    await using head = await startHead({ heartbeat });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    const far = await join(head, { heartbeat, endpoint: proxy.endpoint });
    const near = await head.nextLink();
    const [mine, theirs] = [far.open(), nextChannel(near)];
    await theirs;
    proxy.cut();
    assert.equal((await far.ended)?.code, 'PEER_LOST');
    assert.equal((await near.ended)?.code, 'PEER_LOST');
    await mine.closed;
    await (
      await theirs
    ).closed;
    assert.equal(mine.send(numbered(1)), false);
    assert.equal(far.open().send(numbered(1)), false);
  });

  it('tells a peer that was given up and comes back, which may then join anew', async () => {
    const patient = { intervalMs: 20, deadAfterMs: 30_000 };
    await using head = await startHead({ heartbeat: { intervalMs: 20, deadAfterMs: 200 } });
    await using proxy = await TcpProxy.to(head.listener.endpoint);
    const far = await join(head, { heartbeat: patient, endpoint: proxy.endpoint });
    const near = await head.nextLink();
    proxy.cut();
    assert.equal((await near.ended)?.code, 'PEER_LOST');
    proxy.heal();
    assert.equal((await far.ended)?.code, 'PEER_LOST');
    await using again = await join(head, { endpoint: proxy.endpoint });
    const nearAgain = await head.nextLink();
    const channel = again.open();
    const inbox = new Inbox(await nextChannel(nearAgain));
    channel.send(numbered(7));
    assert.equal(numberOf(await inbox.next()), 7);
  });

  it('does not take a peer for dead because this process was held up', async () => {
    const heartbeat = { intervalMs: 20, deadAfterMs: 200 };
    await using head = await startHead({ heartbeat });
    await using far = await join(head, { heartbeat });
    const near = await head.nextLink();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    const channel = far.open();
    const inbox = new Inbox(await nextChannel(near));
    channel.send(numbered(1));
    await inbox.count(1);
  });

  it('lets heartbeats and small packets pass a long one', async () => {
    const heartbeat = { intervalMs: 20, deadAfterMs: 1000 };
    await using head = await startHead({ heartbeat });
    await using far = await join(head, { heartbeat });
    const near = await head.nextLink();
    const order: string[] = [];
    const arrived = new Promise<void>((resolve) => {
      near.onChannel((channel) => {
        channel.receive(({ frames }) => {
          order.push(frames.length > 0 ? 'long' : 'short');
          if (frames.length > 0) resolve();
        });
      });
    });
    const [long, short] = [far.open(), far.open()];
    long.send(numbered(1, 200_000_000));
    short.send(numbered(2));
    await arrived;
    assert.deepEqual(order, ['short', 'long']);
  });

  it('lets a later packet of the same channel wait for an earlier long one', async () => {
    await using head = await startHead();
    await using far = await join(head);
    const near = await head.nextLink();
    const channel = far.open();
    const inbox = new Inbox(await nextChannel(near));
    channel.send(numbered(0, 20_000_000));
    channel.send(numbered(1));
    channel.send(numbered(2, 5_000_000));
    assert.deepEqual((await inbox.count(3)).map(numberOf), [0, 1, 2]);
  });

  it('brings a header of any length', async () => {
    await using head = await startHead();
    await using far = await join(head);
    const near = await head.nextLink();
    const channel = far.open();
    const inbox = new Inbox(await nextChannel(near));
    const header = new Uint8Array(20_000_000).map((_, i) => i % 251);
    channel.send({ header, frames: [] });
    channel.send({ header, frames: [new Uint8Array(new SharedArrayBuffer(5)).fill(9)] });
    const packets = await inbox.count(2);
    for (const packet of packets) assert.equal(Buffer.compare(packet.header, header), 0);
    assert.deepEqual([...packets[1]!.frames[0]!], [9, 9, 9, 9, 9]);
  });
});
