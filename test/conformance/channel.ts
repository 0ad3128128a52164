import assert from 'node:assert/strict';
import type { Channel, Packet } from '../../transport/channel.ts';
import { Inbox } from '../support/packets.ts';

/** A channel under test, whose peer sends every packet back until it gets an empty header, and then closes. */
export interface EchoSetup {
  /** True where the ends may be in processes of their own: frames arrive as copies. */
  readonly isBetweenProcesses?: boolean;
  open(): MaybePromise<{ readonly channel: Channel; readonly end: () => Promise<void> }>;
}

type MaybePromise<T> = T | Promise<T>;

const packetOf = (...bytes: number[]): Packet => ({ header: Uint8Array.from(bytes), frames: [] });

/** Suite that every channel passes, whatever carries it. */
export function channelConformance(name: string, setup: EchoSetup): void {
  describe(`Channel: ${name}`, () => {
    let channel: Channel;
    let end: () => Promise<void>;
    let inbox: Inbox;
    beforeEach(async () => {
      ({ channel, end } = await setup.open());
      inbox = new Inbox(channel);
    });
    afterEach(async () => {
      channel.close();
      await end();
    });

    it('brings a packet there and back', async () => {
      assert.equal(channel.send(packetOf(1, 2, 3)), true);
      const [packet] = await inbox.count(1);
      assert.deepEqual([...packet!.header], [1, 2, 3]);
      assert.equal(packet!.frames.length, 0);
    });

    it('keeps the order of a thousand packets', async () => {
      for (let i = 0; i < 1000; i++) channel.send(packetOf(i & 255, i >> 8));
      (await inbox.count(1000)).forEach(({ header }, i) =>
        assert.equal(header[0]! + header[1]! * 256, i),
      );
    });

    it('does not deliver before send returned', async () => {
      channel.send(packetOf(1));
      assert.equal(inbox.packets.length, 0);
      await inbox.count(1);
    });

    const sharesMemory = async (): Promise<void> => {
      const shared = new Uint8Array(new SharedArrayBuffer(64)).fill(1);
      channel.send({ header: Uint8Array.of(7), frames: [shared.subarray(8, 24), shared] });
      const [part, whole] = (await inbox.count(1))[0]!.frames;
      assert.equal(part!.byteLength, 16);
      shared[8] = 42;
      assert.equal(part![0], 42);
      part![1] = 43;
      assert.equal(shared[9], 43);
      assert.equal(whole![9], 43);
    };
    if (setup.isBetweenProcesses !== true) {
      it('shares the memory of frames instead of copying it', sharesMemory);
    }

    it('brings frames of any length, in order and in shared memory', async () => {
      const lengths = [3, 0, 40_000, 8, 3_000_000];
      const frames = lengths.map((length, i) => {
        const frame = new Uint8Array(new SharedArrayBuffer(length));
        for (let at = 0; at < length; at++) frame[at] = (at * 7 + i) & 255;
        return frame;
      });
      channel.send({ header: Uint8Array.of(7), frames });
      channel.send(packetOf(8));
      const got = (await inbox.count(2))[0]!.frames;
      assert.deepEqual(
        got.map(({ byteLength }) => byteLength),
        lengths,
      );
      // as memory does that is allocated: kernels sum in another order elsewhere
      for (const { byteOffset } of got) assert.equal(byteOffset % 16, 0);
      got.forEach((frame, i) => {
        assert.ok(frame.buffer instanceof SharedArrayBuffer);
        assert.equal(Buffer.compare(frame, frames[i]!), 0);
      });
    });

    it('leaves timers their turn while packets go to and fro', async () => {
      let isOver = false;
      const timer = new Promise<void>((resolve) => setTimeout(resolve, 5));
      channel.send(packetOf(1));
      const bounce = async (): Promise<void> => {
        for (let n = 1; !isOver; n++) {
          await inbox.count(n);
          channel.send(packetOf(1));
        }
      };
      const bouncing = bounce();
      await timer;
      isOver = true;
      await bouncing;
    });

    it('resolves closed, and sends no more, after its own close', async () => {
      channel.close();
      await channel.closed;
      assert.equal(channel.send(packetOf(1)), false);
    });

    it('delivers what was sent before the peer closed, then resolves closed', async () => {
      channel.send(packetOf(5));
      channel.send(packetOf());
      await channel.closed;
      assert.deepEqual(
        inbox.packets.map(({ header }) => [...header]),
        [[5], []],
      );
      assert.equal(channel.send(packetOf(1)), false);
    });
  });
}

/** Makes the far end of a channel answer as `EchoSetup` says. */
export function echo(channel: Channel): void {
  channel.receive((packet) => {
    channel.send(packet);
    if (packet.header.length === 0) channel.close();
  });
}
