import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import type { Packet } from '../../../transport/channel.ts';
import { PayloadHeap } from '../../../transport/shared/heap.ts';
import { packetBytes, ringBytes, RingReader, RingWriter } from '../../../transport/shared/ring.ts';
import { channelCapacity, ThreadChannel, threadPair } from '../../../transport/thread/channel.ts';
import { packetOfFlood, type Flood } from '../../support/flood-thread.ts';
import { Inbox } from '../../support/packets.ts';

const capacity = 256;

const nobody = (): void => undefined;

function ends(offset = 0, wake = nobody): [RingWriter, RingReader] {
  const memory = new SharedArrayBuffer(offset + ringBytes(capacity));
  return [new RingWriter(memory, offset, capacity, wake), new RingReader(memory, offset, capacity)];
}

describe('ring', () => {
  it('gives back what was written, in order, however writes and reads take turns', () => {
    const step = fc.oneof(fc.nat(100), fc.constant('read' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(0, 64), (steps, offset) => {
        const [writer, reader] = ends(offset);
        const expected: number[][] = [];
        let sequence = 2 ** 31 - 50;
        let first = sequence | 0;
        let bytesInside = 0;
        const tails: number[][] = [];
        for (const now of [...steps, 'read' as const]) {
          if (now === 'read') {
            reader.refill();
            while (reader.hasNext) {
              assert.equal(reader.sequence, first);
              const [header, descriptors] = reader.shift();
              assert.deepEqual([[...header], [...descriptors]], [expected.shift(), tails.shift()]);
              first = (first + 1) | 0;
            }
            bytesInside = 0;
          } else {
            const bytes = Uint8Array.from({ length: now }, (_, i) => (i * 7 + sequence) & 255);
            const descriptors = bytes.slice(0, now % 3 === 0 ? now / 3 : 0);
            const size = packetBytes(bytes.length, descriptors.length);
            const hasRoom = bytesInside + size <= capacity;
            assert.equal(writer.write(sequence | 0, bytes, descriptors), hasRoom);
            if (!hasRoom) continue;
            sequence++;
            bytesInside += size;
            tails.push([...descriptors]);
            expected.push([...bytes]);
          }
        }
        assert.deepEqual(expected, []);
      }),
    );
  });

  it('takes a packet that fills it to the last byte, and none that is longer', () => {
    const [writer, reader] = ends();
    assert.equal(writer.write(0, new Uint8Array(capacity - 15)), false);
    assert.equal(writer.write(0, new Uint8Array(capacity - 16).fill(3)), true);
    assert.equal(writer.write(1, new Uint8Array(0)), false);
    reader.refill();
    assert.deepEqual(reader.shift()[0], new Uint8Array(capacity - 16).fill(3));
    assert.equal(reader.hasNext, false);
  });

  it('has its prefixes whole and aligned', () => {
    for (const length of [0, 1, 15, 16, 17, 2 ** 31, 2 ** 32]) {
      const size = packetBytes(length, 0);
      assert.ok(size % 16 === 0 && size >= length + 16, `${size} bytes for ${length}`);
    }
  });

  it('keeps what it gave out when the room is used again', () => {
    const [writer, reader] = ends();
    writer.write(0, Uint8Array.of(1, 2, 3));
    reader.refill();
    const [kept] = reader.shift();
    for (let i = 0; i < 40; i++) {
      writer.write(i, new Uint8Array(20).fill(9));
      reader.refill();
      reader.shift();
    }
    assert.deepEqual([...kept], [1, 2, 3]);
  });

  it('has its reader woken once, and only while it sleeps', () => {
    let wakes = 0;
    const [writer, reader] = ends(0, () => {
      wakes++;
    });
    writer.write(0, Uint8Array.of(1));
    assert.equal(wakes, 0, 'a reader that never looked will look');
    assert.equal(reader.prepareToSleep(), false, 'there is a packet');
    reader.refill();
    assert.equal(reader.prepareToSleep(), false, 'there still is');
    reader.shift();
    assert.equal(reader.prepareToSleep(), true);
    writer.write(1, Uint8Array.of(1));
    assert.equal(wakes, 1);
    writer.write(2, Uint8Array.of(1));
    assert.equal(wakes, 1);
  });
});

describe('rings of several threads', () => {
  /** Everything one thread sent, until it closed. */
  async function flooded(flood: Flood): Promise<Packet[]> {
    const [channel, end] = threadPair(new PayloadHeap());
    const worker = new Worker(new URL('../../support/flood-thread.ts', import.meta.url), {
      workerData: { end, flood },
      transferList: [end.port],
    });
    const exit = once(worker, 'exit');
    const { packets } = new Inbox(channel);
    await channel.closed;
    await exit;
    return packets;
  }

  it('bring every packet once and in order: small ones, long ones, and ones with frames', async () => {
    const flood = fc.record({
      count: fc.integer({ min: 1, max: 3_000 }),
      salt: fc.nat(255),
      lengths: fc.array(fc.oneof(fc.nat(100), fc.nat(20_000)), { minLength: 1, maxLength: 5 }),
      framesEvery: fc.constantFrom(0, 1, 2, 7, 100),
    });
    const check = async (floods: readonly Flood[]): Promise<void> => {
      await Promise.all(
        floods.map(async (each) => {
          const received = await flooded(each);
          assert.equal(received.length, each.count);
          received.forEach((packet, i) => assert.deepEqual(packet, packetOfFlood(each, i)));
        }),
      );
    };
    await fc.assert(fc.asyncProperty(fc.array(flood, { minLength: 1, maxLength: 3 }), check), {
      numRuns: 5,
    });
  });

  it('are passed by packets that are longer than they are, in order', async () => {
    const [channel, end] = threadPair(new PayloadHeap());
    const far = new ThreadChannel(end, new PayloadHeap());
    const inbox = new Inbox(channel);
    const lengths = [5, channelCapacity + 1, 7];
    for (const length of lengths) far.send({ header: new Uint8Array(length), frames: [] });
    assert.deepEqual(
      (await inbox.count(3)).map(({ header }) => header.length),
      lengths,
    );
    channel.close();
  });

  it('go on after a receiver threw, with the packet after the one it threw at', async () => {
    const [channel, end] = threadPair(new PayloadHeap());
    const far = new ThreadChannel(end, new PayloadHeap());
    const thrown = once(process, 'uncaughtException');
    const mochas = process.rawListeners('uncaughtException').slice(0, -1) as (() => void)[];
    for (const listener of mochas) process.off('uncaughtException', listener);
    const received: number[] = [];
    const all = new Promise<void>((resolve) => {
      channel.receive(({ header }) => {
        if (header[0] === 1) throw new Error('at the second');
        if (received.push(header[0]!) === 3) resolve();
      });
    });
    for (let i = 0; i < 4; i++) far.send({ header: Uint8Array.of(i), frames: [] });
    await all;
    assert.match(String(await thrown), /at the second/);
    for (const listener of mochas) process.on('uncaughtException', listener);
    assert.deepEqual(received, [0, 2, 3]);
    far.close();
  });
});
