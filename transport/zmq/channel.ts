import { CxmindError } from '../../src/errors.ts';
import type { Channel, Packet } from '../channel.ts';
import { maxFrames } from '../frame.ts';
import { Assembly } from './assembly.ts';
import { maxHeaderBytes } from './control-reader.ts';
import type { OutRecord, PacketRecord } from './control-wire.ts';
import { Outbox } from './outbox.ts';

/** What a channel asks of its link. */
export interface ChannelLink {
  enqueue(record: OutRecord): void;
  /** Both ends closed and nothing is on its way in: the link may forget the channel. */
  forget(channel: ZmqChannel): void;
}

/** One end of a channel over a link; what it sends is copied by the transport until the peer has it. */
export class ZmqChannel implements Channel {
  readonly id: number;
  readonly closed: Promise<void>;
  /** Bulk on its way out; filled and emptied by the link. */
  readonly outbox: Outbox;
  readonly #resolveClosed: () => void;
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
    this.outbox = new Outbox(grantedBytes);
    this.#assembly = new Assembly(creditBytes);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.closed = promise;
    this.#resolveClosed = () => resolve(undefined);
  }

  /** Whether the peer would throw away what is still to be sent. */
  get isClosedByPeer(): boolean {
    return this.#isClosedByPeer;
  }

  /** Whether packets lack bytes that someone here waits for. */
  get isIncomplete(): boolean {
    return !this.#isClosed && !this.#assembly.isComplete;
  }

  send(packet: Packet): boolean {
    if (this.#isClosed || this.#isClosedByPeer) return false;
    const { header, frames } = packet;
    if (header.length > maxHeaderBytes || frames.length > maxFrames) {
      throw new CxmindError(
        'WIRE_INVALID',
        `packet: ${header.length} bytes of header and ${frames.length} frames are too many`,
      );
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

  [Symbol.dispose](): void {
    this.close();
  }

  /** A packet that the peer sent; some of its bytes may still be to come. */
  announce(record: PacketRecord): void {
    if (this.#isClosed) return;
    this.#assembly.announce(record);
    this.#deliver();
  }

  /** Bytes of the oldest packet that lacks some. */
  fill(offset: number, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#assembly.fill(offset, bytes);
    this.#deliver();
  }

  /** The peer closed: this end follows when it has delivered what came before. */
  closeByPeer(): void {
    this.#isClosedByPeer = true;
    this.outbox.clear();
    if (this.#isClosed) this.#link.forget(this);
    else this.#deliver();
  }

  /** The link ended: packets that came whole are still there for a receiver. */
  abandon(): void {
    this.#isClosedByPeer = true;
    this.outbox.clear();
    if (!this.#isClosed) this.#end();
  }

  #deliver(): void {
    if (this.#receiver !== undefined) {
      for (
        let packet = this.#assembly.take();
        packet !== undefined;
        packet = this.#assembly.take()
      ) {
        call(this.#receiver, packet);
      }
    }
    if (this.#isClosed) return;
    const limit = this.#assembly.grant();
    if (limit !== undefined) this.#link.enqueue({ kind: 'credit', channel: this.id, limit });
    if (this.#isClosedByPeer && this.#assembly.isEmpty) this.#end();
  }

  /** Tells the peer, which waits for it where it closed first: until then it still sends what it had. */
  #end(): void {
    this.#isClosed = true;
    this.#resolveClosed();
    this.#link.enqueue({ kind: 'close', channel: this.id });
    if (this.#isClosedByPeer) this.#link.forget(this);
  }
}

/** A receiver that throws is the program's error, not the peer's nor the link's. */
function call(receiver: (packet: Packet) => void, packet: Packet): void {
  try {
    receiver(packet);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
