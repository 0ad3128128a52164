import { CxmindError } from '../../src/errors.ts';
import type { Channel, Packet } from '../channel.ts';
import { maxFrames } from '../frame.ts';
import { Assembly } from './assembly.ts';
import { Outbox } from './bulk-lane.ts';
import { maxHeaderBytes, type OutRecord, type PacketRecord } from './control-message.ts';

/** The link of a channel, as far as the channel needs it. */
export interface ChannelLink {
  enqueue(record: OutRecord): void;
  /** Is told that both ends closed and nothing is on its way in. */
  forget(channel: ZmqChannel): void;
}

/** One end of a channel over a link. The transport keeps what it sends until the peer has it. */
export class ZmqChannel implements Channel {
  readonly id: number;
  /** Bulk on its way out, which the link fills and empties. */
  readonly outbox: Outbox;
  readonly #closed = Promise.withResolvers<undefined>();
  readonly closed: Promise<void> = this.#closed.promise;
  readonly #link: ChannelLink;
  readonly #assembly: Assembly;
  #receiver: ((packet: Packet) => void) | undefined;
  #isClosed = false;
  #isClosedByPeer = false;

  /**
   * @param grantedBytes bulk bytes that the peer takes to begin with
   * @param creditBytes bulk bytes that this end takes
   */
  constructor(id: number, link: ChannelLink, grantedBytes: number, creditBytes: number) {
    this.id = id;
    this.#link = link;
    this.outbox = new Outbox(id, grantedBytes);
    this.#assembly = new Assembly(creditBytes);
  }

  /** True when the peer closed, so that it throws away what is still sent. */
  get isClosedByPeer(): boolean {
    return this.#isClosedByPeer;
  }

  /** True when packets that a receiver here waits for lack bytes. */
  get isIncomplete(): boolean {
    return !this.#isClosed && !this.#assembly.isComplete;
  }

  send(packet: Packet): boolean {
    if (this.#isClosed || this.#isClosedByPeer) return false;
    const { header, frames } = packet;
    if (header.length > maxHeaderBytes || frames.length > maxFrames) {
      const size = `${header.length} bytes of header and ${frames.length} frames`;
      throw new CxmindError('WIRE_INVALID', `packet: ${size} are too many`);
    }
    this.#link.enqueue({ kind: 'packet', channel: this.id, packet });
    return true;
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#receiver = receiver;
    queueMicrotask(() => this.#deliver());
  }

  close(): void {
    if (this.#isClosed) return;
    this.#assembly.clear();
    this.#end();
  }

  /** Takes a packet that the peer sent. Some of its bytes may be still to come. */
  announce(record: PacketRecord): void {
    if (this.#isClosed) return;
    this.#assembly.announce(record);
    this.#deliver();
  }

  /** Takes bytes of the oldest packet that lacks some. */
  fill(offset: number, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#assembly.fill(offset, bytes);
    this.#deliver();
  }

  /** Notes that the peer closed. This end closes too when it has delivered what came before. */
  closeByPeer(): void {
    this.#isClosedByPeer = true;
    this.outbox.clear();
    if (this.#isClosed) this.#link.forget(this);
    else this.#deliver();
  }

  /** Notes that the link ended. A receiver still gets the packets that came whole. */
  abandon(): void {
    this.#isClosedByPeer = true;
    this.outbox.clear();
    if (!this.#isClosed) this.#end();
  }

  #deliver(): void {
    if (this.#receiver !== undefined) {
      for (;;) {
        const packet = this.#assembly.take();
        if (packet === undefined) break;
        call(this.#receiver, packet);
      }
    }
    if (this.#isClosed) return;
    const limit = this.#assembly.grant();
    if (limit !== undefined) this.#link.enqueue({ kind: 'credit', channel: this.id, limit });
    if (this.#isClosedByPeer && this.#assembly.isEmpty) this.#end();
  }

  /** Closes this end and tells the peer. A peer that closed first waits for that, and until then sends what it had. */
  #end(): void {
    this.#isClosed = true;
    this.#closed.resolve(undefined);
    this.#link.enqueue({ kind: 'close', channel: this.id });
    if (this.#isClosedByPeer) this.#link.forget(this);
  }
}

/** Calls a receiver. One that throws is the program's error, not the peer's or the link's. */
function call(receiver: (packet: Packet) => void, packet: Packet): void {
  try {
    receiver(packet);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
