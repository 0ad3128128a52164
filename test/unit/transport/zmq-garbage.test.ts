import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { once } from 'node:events';
import { Dealer } from 'zeromq';
import { garbageCollector } from '../../../src/collector.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { encodeChunkHead, encodeNext } from '../../../transport/zmq/bulk-message.ts';
import {
  atStart,
  encodeBatch,
  encodeBeat,
  encodeEnd,
  encodeTerms,
  type OutRecord,
} from '../../../transport/zmq/control-message.ts';
import type { Channel } from '../../../transport/channel.ts';
import { echo } from '../../conformance/channel.ts';
import { join, startHead, type Head } from '../../support/link-pair.ts';
import { Inbox, numbered, numberOf } from '../../support/packets.ts';

const terms = { name: 'crazy', creditBytes: 1 << 20, intervalMs: 1000, deadAfterMs: 10_000 };
const hello = encodeTerms('hello', terms);
const beat = encodeBeat(atStart);

/** The two sockets of a peer that holds the key and says what it likes. */
class CrazyPeer implements Disposable {
  readonly control: Dealer;
  readonly bulk: Dealer;

  constructor({ listener, keys }: Head, name: string) {
    const options = {
      linger: 0,
      routingId: name,
      curveServerKey: keys.server.publicKey,
      curvePublicKey: keys.client.publicKey,
      curveSecretKey: keys.client.secretKey,
    };
    const [, host = '', control = '', bulk = ''] =
      /^(tcp:.*):(\d+),(\d+)$/.exec(listener.endpoint) ?? [];
    this.control = new Dealer(options);
    this.bulk = new Dealer(options);
    this.control.connect(`${host}:${control}`);
    this.bulk.connect(`${host}:${bulk}`);
  }

  async join(): Promise<void> {
    await this.control.send(hello);
    await this.control.send(beat);
  }

  [Symbol.dispose](): void {
    this.control.close();
    this.bulk.close();
  }
}

/** Messages as an end could have sent them. */
function soundMessage(rng: Rng): Buffer {
  const channel = rng.nextBelow(6);
  const packet = {
    header: new Uint8Array(rng.nextBelow(20)),
    frames: [new Uint8Array(rng.nextBelow(20) === 0 ? 40_000 : rng.nextBelow(500))],
  };
  const records: OutRecord[] = [
    { kind: 'open', channel },
    { kind: 'packet', channel, packet },
    { kind: 'credit', channel, limit: rng.nextUint32() },
    { kind: 'close', channel },
    { kind: 'bye', channel: 0 },
  ];
  const some = records.filter(() => rng.nextBelow(2) === 0);
  const progress = { ...atStart, sequence: rng.nextBelow(3), acked: rng.nextBelow(2) };
  switch (rng.nextBelow(8)) {
    case 0:
      return encodeBeat(progress);
    case 1:
      return encodeEnd(progress, 'lost');
    case 2:
      return hello;
    default:
      return encodeBatch(progress, some);
  }
}

/** A message with some bytes changed, cut off or added; or nothing but noise. */
function garbled(rng: Rng, message: Buffer): Buffer {
  const noise = (length: number): Buffer =>
    Buffer.from(Uint8Array.from({ length }, () => rng.nextBelow(256)));
  switch (rng.nextBelow(4)) {
    case 0:
      return noise(rng.nextBelow(100));
    case 1:
      return message.subarray(0, rng.nextBelow(message.length));
    case 2:
      return Buffer.concat([message, noise(1 + rng.nextBelow(9))]);
  }
  const copy = Buffer.from(message);
  for (let i = rng.nextBelow(4); i >= 0; i--) {
    copy[rng.nextBelow(Math.min(copy.length, 80))] = rng.nextBelow(256);
  }
  return copy;
}

function soundChunk(rng: Rng): Buffer[] {
  if (rng.nextBelow(5) === 0) return [encodeNext(rng.nextBelow(5))];
  const sizeBytes = 1 + rng.nextBelow(200);
  const [sequence, batch, channel] = [rng.nextBelow(3), rng.nextBelow(3), rng.nextBelow(6)];
  const head = encodeChunkHead({ sequence, batch, offset: 0, channel });
  return [head, Buffer.alloc(sizeBytes)];
}

/** Asks for an echo over a link that has nothing to do with the noise. */
async function assertEcho(channel: Channel, inbox: Inbox, index: number): Promise<void> {
  channel.send(numbered(index));
  assert.equal(numberOf(await inbox.next()), index);
}

function heapAfterCollection(): number {
  garbageCollector()!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('a peer that speaks garbage', () => {
  it('ends its link with WIRE_INVALID, whichever socket the garbage comes by', async () => {
    for (const socket of ['control', 'bulk'] as const) {
      await using head = await startHead();
      using crazy = new CrazyPeer(head, 'crazy');
      await crazy.join();
      const link = await head.nextLink();
      assert.equal(link.peer, 'crazy');
      await crazy[socket].send(Buffer.from('what?'));
      assert.equal((await link.ended)?.code, 'WIRE_INVALID');
    }
  });

  it('is told so, and may join anew', async () => {
    await using head = await startHead({ heartbeat: { intervalMs: 50, deadAfterMs: 300 } });
    using crazy = new CrazyPeer(head, 'crazy');
    await crazy.join();
    const link = await head.nextLink();
    await crazy.control.send(Buffer.from('what?'));
    await link.ended;
    await crazy.join();
    assert.equal((await head.nextLink()).peer, 'crazy');
  });

  it('ends its link when it breaks the rules of links in sound messages', async () => {
    const packet = { header: new Uint8Array(3), frames: [] };
    const huge = { header: new Uint8Array(0), frames: [{ byteLength: 2 ** 52 } as Uint8Array] };
    const wrongs: Record<string, OutRecord[]> = {
      'a packet of a channel that was never opened': [{ kind: 'packet', channel: 1, packet }],
      'a channel with our number': [{ kind: 'open', channel: 2 }],
      'a channel out of turn': [{ kind: 'open', channel: 3 }],
      'credit for nothing': [{ kind: 'credit', channel: 4, limit: 5 }],
    };
    for (const [what, records] of Object.entries(wrongs)) {
      await using head = await startHead();
      using crazy = new CrazyPeer(head, 'crazy');
      await crazy.join();
      const link = await head.nextLink();
      await crazy.control.send(encodeBatch(atStart, records));
      assert.equal((await link.ended)?.code, 'WIRE_INVALID', what);
    }
    await using head = await startHead();
    using crazy = new CrazyPeer(head, 'crazy');
    await crazy.join();
    const link = await head.nextLink();
    const records: OutRecord[] = [
      { kind: 'open', channel: 1 },
      { kind: 'packet', channel: 1, packet: huge },
    ];
    await crazy.control.send(encodeBatch(atStart, records));
    const chunk = { sequence: 0, batch: 0, offset: 0, channel: 1 };
    await crazy.bulk.send([encodeChunkHead(chunk), Buffer.alloc(9)]);
    assert.equal((await link.ended)?.code, 'WIRE_INVALID');
  });

  it('disturbs nobody with 100,000 fuzzed frames, and leaves nothing behind', async function () {
    this.timeout(120_000);
    await using head = await startHead();
    await using far = await join(head);
    (await head.nextLink()).onChannel(echo);
    const channel = far.open();
    const inbox = new Inbox(channel);
    let [joined, ended] = [0, 0];
    head.listener.onLink((link) => {
      joined++;
      void link.ended.then(() => ended++);
    });
    const rng = new Rng(keyOf('garbage', 1));
    let heap = 0;
    for (let frames = 0, sessions = 0; frames < 100_000; sessions++) {
      using crazy = new CrazyPeer(head, `crazy/${sessions}`);
      for (let i = 0; i < 1000; i++) {
        if (i % 20 === 0) await crazy.join();
        const message = soundMessage(rng);
        await crazy.control.send(rng.nextBelow(4) === 0 ? message : garbled(rng, message));
        const chunk = soundChunk(rng);
        if (rng.nextBelow(4) !== 0) chunk[0] = garbled(rng, chunk[0]!);
        await crazy.bulk.send(chunk);
        frames += 1 + chunk.length;
      }
      await crazy.join();
      await crazy.control.send(Buffer.from('the last word'));
      await assertEcho(channel, inbox, sessions);
      if (sessions === 5) heap = heapAfterCollection();
    }
    while (ended < joined) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(joined > 100);
    assert.ok(head.listener.dropped > 10_000);
    const growth = heapAfterCollection() - heap;
    assert.ok(growth < 8e6, `the heap grew by ${growth} bytes`);
  });

  it('disturbs nobody with noise over TCP', async () => {
    await using head = await startHead();
    await using far = await join(head);
    (await head.nextLink()).onChannel(echo);
    const channel = far.open();
    const inbox = new Inbox(channel);
    const rng = new Rng(keyOf('noise', 1));
    const [, host = '', ports = ''] = /^tcp:\/\/(.+):([\d,]+)$/.exec(head.listener.endpoint) ?? [];
    const greeting = Buffer.from('ff00000000000000017f0301435552564500', 'hex');
    for (let i = 0; i < 200; i++) {
      const socket = connect(Number(ports.split(',')[i % 2]), host);
      // whether the listener hangs up or resets is up to it
      socket.on('error', () => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      await once(socket, 'connect');
      if (i % 3 === 0) socket.write(greeting);
      const noise = Uint8Array.from({ length: 5000 }, () => rng.nextBelow(256));
      socket.end(noise);
      if (i % 20 === 0) await assertEcho(channel, inbox, i / 20);
      socket.resume();
      await closed;
    }
  });

  it('is closed without waiting for a peer that said hello and nothing more', async () => {
    const head = await startHead({ heartbeat: { intervalMs: 50, deadAfterMs: 3_600_000 } });
    using shy = new CrazyPeer(head, 'shy');
    await shy.control.send(hello);
    await shy.control.receive();
    await head[Symbol.asyncDispose]();
  });
});
