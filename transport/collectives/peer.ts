import Denque from 'denque';
import type { CxmindError } from '../../src/errors.ts';
import type { Channel } from '../channel.ts';
import { lostError } from './call.ts';

/** Longest block that travels in the header of a packet. */
const HEADER_BYTES = 1024;

/** Another rank, at the other end of a channel: a two-way line of blocks of bytes. */
export class Peer {
  readonly #channel: Channel;
  readonly #rank: number;
  readonly #blocks = new Denque<Uint8Array>();
  readonly #waiting = new Denque<PromiseWithResolvers<Uint8Array>>();
  #failure: CxmindError | undefined;

  /** @param rank of the peer, for errors */
  constructor(channel: Channel, rank: number) {
    this.#channel = channel;
    this.#rank = rank;
    channel.receive(({ header, frames }) => {
      const block = frames[0] ?? header;
      const next = this.#waiting.shift();
      if (next === undefined) this.#blocks.push(block);
      else next.resolve(block);
    });
    void channel.closed.then(() => this.fail(lostError(rank)));
  }

  /** Sends a block. It may be changed when this returns. */
  send(block: Uint8Array): void {
    const copy = block.slice();
    const isSmall = copy.length <= HEADER_BYTES;
    const packet = isSmall ? { header: copy, frames: [] } : { header: empty, frames: [copy] };
    if (!this.#channel.send(packet)) throw this.#failure ?? lostError(this.#rank);
  }

  /** Receives the next block, in the order of sending. */
  receive(): Promise<Uint8Array> {
    const block = this.#blocks.shift();
    if (block !== undefined) return Promise.resolve(block);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const waiting = Promise.withResolvers<Uint8Array>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Rejects all blocks that are awaited, now or later, and have not come. */
  fail(error: CxmindError): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.toArray()) reject(this.#failure);
    this.#waiting.clear();
  }

  close(): void {
    this.#channel.close();
  }
}

const empty = new Uint8Array(0);
