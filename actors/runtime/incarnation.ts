/**
 * Incarnations of actors, and a channel for each. An incarnation is an actor from its making until it stopped or crashed.
 * A restart makes the next incarnation of the same actor: its address and its waiting messages stay, its memory is new.
 */
import type { CxmindError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';

/** One incarnation of an actor, as the system holds it. */
export interface Incarnation {
  readonly channel: Channel;
  /** Way for stop and cancel, which must not wait behind messages. It may overtake the channel. */
  readonly urgent: Pick<Channel, 'send'>;
  /** Resolves with the reason once nothing of it runs and its last packet was delivered. */
  readonly ended: Promise<CxmindError>;
  /** Ends it from outside, whatever it is doing. */
  terminate(): void;
}

/** Facts that an incarnation is started with. */
export interface IncarnationStart {
  /** Number of restarts before it. */
  readonly restarts: number;
  /** State that an earlier incarnation kept. */
  readonly kept: Body | undefined;
}

/** Starts the incarnations of one actor, in a place that only the launcher knows. */
export interface Launcher {
  /** Name of the node of the youngest incarnation; undefined in this process. */
  readonly node: string | undefined;
  /** Rejects when there is no place for the actor, and once `signal` is aborted. */
  launch(start: IncarnationStart, signal: AbortSignal): Promise<Incarnation>;
  /** Bytes of the JavaScript heap of the actor's thread, as they were lately; null where it has none in this process. */
  heapBytes(): number | null;
  /** Gives back what the actor claimed, since no incarnation follows. Resolves once nothing is held for one. */
  release(): Promise<void>;
}

/** Packet between the packets of one incarnation and those of the next; no other packet is empty. */
const border: Packet = { header: new Uint8Array(0), frames: [] };

/**
 * One thread's channel, split over time into a channel for each incarnation on that thread.
 *
 * The end that begins an incarnation sends a border, and so does the end that closes its channel. Both ends thus agree
 * where an incarnation ends although packets for it may be under way. Those packets are dropped.
 */
export class IncarnationChannels {
  readonly #channel: Channel;
  readonly #onBegin: (channel: Channel) => void;
  #current: IncarnationChannel | undefined;
  #isOpen = true;

  /** @param onBegin takes the channel of an incarnation that the other end began */
  constructor(channel: Channel, onBegin: (channel: Channel) => void = () => undefined) {
    this.#channel = channel;
    this.#onBegin = onBegin;
    void channel.closed.then(() => {
      this.#isOpen = false;
      this.#end();
    });
    channel.receive((packet) => this.#take(packet));
  }

  /** True while another incarnation may begin. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Begins an incarnation, after the end of the one before. */
  begin(): Channel {
    this.#channel.send(border);
    return this.#open();
  }

  /** Closes the channel below, so that no incarnation follows. */
  close(): void {
    this.#channel.close();
  }

  #take(packet: Packet): void {
    if (packet.header.length > 0) this.#current?.deliver(packet);
    else if (this.#current === undefined) this.#onBegin(this.#open());
    else this.#end();
  }

  #open(): Channel {
    const opened = new IncarnationChannel(this.#channel, () => {
      if (this.#current !== opened) return;
      this.#channel.send(border);
      this.#end();
    });
    this.#current = opened;
    return opened;
  }

  #end(): void {
    const ended = this.#current;
    this.#current = undefined;
    ended?.end();
  }
}

/** Channel of one incarnation over the channel of its thread. */
class IncarnationChannel implements Channel {
  readonly #below: Channel;
  readonly #onClose: () => void;
  readonly #closed = Promise.withResolvers<undefined>();
  readonly closed: Promise<void> = this.#closed.promise;
  /** Packets that came before there was a receiver. */
  readonly #early: Packet[] = [];
  #receiver: ((packet: Packet) => void) | undefined;
  #isClosed = false;

  constructor(below: Channel, onClose: () => void) {
    this.#below = below;
    this.#onClose = onClose;
  }

  send(packet: Packet): boolean {
    return !this.#isClosed && this.#below.send(packet);
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#receiver = receiver;
    for (const packet of this.#early.splice(0)) receiver(packet);
  }

  deliver(packet: Packet): void {
    if (this.#receiver === undefined) this.#early.push(packet);
    else this.#receiver(packet);
  }

  close(): void {
    this.#onClose();
  }

  end(): void {
    this.#isClosed = true;
    this.#closed.resolve(undefined);
  }
}
