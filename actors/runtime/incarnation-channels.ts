import type { Channel, Packet } from '../../transport/channel.ts';

/** Between packets of one life and those of the next; no other packet is empty. */
const border: Packet = { header: new Uint8Array(0), frames: [] };

/**
 * The one channel of a thread as its lives have it, one after the other: each has a channel of its own over it.
 *
 * The end that begins a life and the end that closes its channel each send a border, so both agree where a life ends
 * although packets for it may be under way. Those reach nobody, least of all the life after it.
 */
export class IncarnationChannels {
  readonly #channel: Channel;
  readonly #onBegin: (life: Channel) => void;
  #life: IncarnationChannel | undefined;
  #isOpen = true;

  /** @param onBegin takes the channel of a life that the other end began */
  constructor(channel: Channel, onBegin: (life: Channel) => void = () => undefined) {
    this.#channel = channel;
    this.#onBegin = onBegin;
    void channel.closed.then(() => {
      this.#isOpen = false;
      this.#end();
    });
    channel.receive((packet) => this.#take(packet));
  }

  /** Whether there may be further lives. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Begins a life, after the end of the one before. */
  begin(): Channel {
    this.#channel.send(border);
    return this.#open();
  }

  /** Closes the channel under the lives: there is no further one. */
  close(): void {
    this.#channel.close();
  }

  #take(packet: Packet): void {
    if (packet.header.length > 0) this.#life?.deliver(packet);
    else if (this.#life === undefined) this.#onBegin(this.#open());
    else this.#end();
  }

  #open(): Channel {
    const life = new IncarnationChannel(this.#channel, () => {
      if (this.#life !== life) return;
      this.#channel.send(border);
      this.#end();
    });
    this.#life = life;
    return life;
  }

  #end(): void {
    const life = this.#life;
    this.#life = undefined;
    life?.end();
  }
}

/** What of a thread's channel belongs to one life. */
class IncarnationChannel implements Channel {
  readonly closed: Promise<void>;
  readonly #under: Channel;
  readonly #onClose: () => void;
  readonly #resolveClosed: () => void;
  readonly #early: Packet[] = [];
  #receiver: ((packet: Packet) => void) | undefined;
  #isClosed = false;

  constructor(under: Channel, onClose: () => void) {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.closed = promise;
    this.#resolveClosed = () => resolve(undefined);
    this.#under = under;
    this.#onClose = onClose;
  }

  send(packet: Packet): boolean {
    return !this.#isClosed && this.#under.send(packet);
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
    this.#resolveClosed();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
