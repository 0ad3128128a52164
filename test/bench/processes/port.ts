import type { Dealer, Router } from 'zeromq';
import type { Channel } from '../../../transport/channel.ts';

/** One end of a connection of two processes, ours or raw, under the same few words. */
export interface Port {
  send(header: Uint8Array, frame?: Uint8Array): void | Promise<void>;
  onMessage: (header: Uint8Array, frame?: Uint8Array) => void;
  close(): void;
}

/** A channel of a link. */
export class LinkPort implements Port {
  onMessage: Port['onMessage'] = () => undefined;
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.receive(({ header, frames }) => this.onMessage(header, frames[0]));
  }

  send(header: Uint8Array, frame?: Uint8Array): void {
    this.#channel.send({ header, frames: frame === undefined ? [] : [frame] });
  }

  close(): void {
    this.#channel.close();
  }
}

/** A bare Dealer, or a bare Router with one Dealer at its other end: a message each, as zeromq.js shows it. */
export class RawPort implements Port {
  onMessage: Port['onMessage'] = () => undefined;
  readonly #socket: Dealer | Router;
  #peer: Uint8Array | undefined;

  constructor(socket: Dealer | Router) {
    this.#socket = socket;
    void this.#listen();
  }

  send(header: Uint8Array, frame?: Uint8Array): Promise<void> {
    if (this.#peer === undefined) {
      return this.#socket.send(frame === undefined ? header : [header, frame]);
    }
    const parts = frame === undefined ? [this.#peer, header] : [this.#peer, header, frame];
    return this.#socket.send(parts);
  }

  close(): void {
    this.#socket.close();
  }

  async #listen(): Promise<void> {
    const isRouter = 'handover' in this.#socket;
    for await (const parts of this.#socket) {
      if (isRouter) this.#peer = parts.shift();
      this.onMessage(parts[0]!, parts[1]);
    }
  }
}

/** First byte of a header: what to do. */
export const orders = { echo: 0, flood: 1, tensors: 2, received: 3, hello: 4 } as const;

/** A header of some bytes that gives an order, and says how many messages of how many bytes shall come. */
export function order(what: keyof typeof orders, length = 16, count = 0, bytes = 0): Uint8Array {
  const header = new Uint8Array(length);
  const view = new DataView(header.buffer);
  header[0] = orders[what];
  view.setUint32(4, count, true);
  view.setUint32(8, bytes, true);
  return header;
}
