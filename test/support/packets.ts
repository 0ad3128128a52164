import type { Channel, Packet } from '../../transport/channel.ts';

/** Packets that a channel delivered, and waits for the next ones. */
export class Inbox {
  readonly packets: Packet[] = [];
  #wake: (() => void) | undefined;

  constructor(channel: Channel) {
    channel.receive((packet) => {
      this.packets.push(packet);
      this.#wake?.();
    });
  }

  /** Resolves with all packets once there are so many. */
  async count(count: number): Promise<readonly Packet[]> {
    while (this.packets.length < count) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.packets;
  }

  /** Takes out the next packet. */
  async next(): Promise<Packet> {
    await this.count(1);
    return this.packets.shift()!;
  }
}

/** A packet that says its number, with a frame full of it. */
export function numbered(number: number, frameBytes = 0): Packet {
  const header = new Uint8Array(new Uint32Array([number]).buffer);
  if (frameBytes === 0) return { header, frames: [] };
  const frame = new Uint8Array(new SharedArrayBuffer(frameBytes)).fill(number);
  return { header, frames: [frame] };
}

/** The number of a packet that `numbered` made. */
export function numberOf({ header }: Packet): number {
  return Buffer.from(header).readUInt32LE(0);
}
