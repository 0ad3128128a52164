import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { CxmindError } from '../../src/errors.ts';
import { noteSharedBytes } from '../../src/tensor/memory.ts';
import type { Channel, Packet } from '../channel.ts';
import { ringBytes } from '../shared/layout.ts';
import { RingReader, RingWriter } from '../shared/ring.ts';

/** Bytes on their way in one direction before packets go by the port; 64 small messages fill a third of it. */
const capacity = 1 << 14;

/** What wakes the other end: a message that says nothing. */
const doorbell = 0;

/** A packet that goes by the port: how many were sent before it, its header, its frames. */
type Parcel = readonly [sequence: number, header: Uint8Array, ...frames: Uint8Array[]];

type PortMessage = Parcel | typeof doorbell;

/** One end of a channel, on its way to the thread that makes a `ThreadChannel` of it. */
export interface ThreadEnd {
  /** To be transferred. */
  readonly port: MessagePort;
  readonly rings: SharedArrayBuffer;
  /** Which of the two rings is written by this end. */
  readonly outbox: 0 | 1;
}

/**
 * A channel between two threads of a process: a ring of shared memory in each direction, and a MessagePort.
 *
 * A packet without frames is copied into the ring, and the port is used only to wake a reader that sleeps.
 * Packets with frames, whose handles only a port can carry, and those that find no room in the ring go by the
 * port; all are numbered, so that they are delivered in order.
 */
export class ThreadChannel implements Channel {
  readonly closed: Promise<void>;
  readonly #port: MessagePort;
  readonly #outbox: RingWriter;
  readonly #inbox: RingReader;
  readonly #parcels: Parcel[] = [];
  #receiver: ((packet: Packet) => void) | undefined;
  #sent = 0;
  #taken = 0;
  #isClosed = false;
  #isDeaf = false;

  constructor({ port, rings, outbox }: ThreadEnd) {
    this.#port = port;
    this.#outbox = new RingWriter(rings, outbox * ringBytes(capacity), capacity);
    this.#inbox = new RingReader(rings, (1 - outbox) * ringBytes(capacity), capacity);
    this.closed = new Promise((resolve) => {
      port.once('close', () => {
        this.#isClosed = true;
        try {
          while (!this.#drain());
        } finally {
          resolve();
        }
      });
    });
  }

  send({ header, frames }: Packet): boolean {
    if (this.#isClosed) return false;
    const sequence = this.#sent;
    this.#sent = (sequence + 1) | 0;
    if (frames.length > 0 || !this.#outbox.write(sequence, header)) {
      // a clone takes all of a view's buffer along, which may be far longer
      this.#port.postMessage([sequence, new Uint8Array(header), ...frames] satisfies Parcel);
    } else if (this.#outbox.mustWake()) {
      this.#port.postMessage(doorbell);
    }
    return true;
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#receiver = receiver;
    this.#port.on('message', (message: PortMessage) => {
      if (message !== doorbell) this.#parcels.push(message);
      this.#drain();
    });
    setImmediate(() => this.#drain());
  }

  close(): void {
    this.#isDeaf = true;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#port.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Delivers what is there now, and says whether that was all. What comes meanwhile waits for another turn of the event loop: two ends that
   * answer each other must not starve timers.
   */
  #drain(): boolean {
    if (this.#receiver === undefined || this.#isDeaf) return true;
    let isDry = false;
    try {
      this.#inbox.refill();
      while (this.#inbox.hasNext) {
        if (this.#inbox.sequence === this.#taken) {
          this.#deliver({ header: this.#inbox.shift(), frames: [] });
        } else {
          this.#deliverParcel(this.#awaitedParcel());
        }
      }
      while (this.#parcels[0]?.[0] === this.#taken) this.#deliverParcel(this.#parcels.shift()!);
      isDry = this.#inbox.sleep();
      return isDry;
    } finally {
      if (!isDry) setImmediate(() => this.#drain());
    }
  }

  /** The parcel that was sent before a packet which is here: the port has it, though its event may be to come. */
  #awaitedParcel(): Parcel {
    for (;;) {
      const parcel = this.#parcels.shift();
      if (parcel !== undefined) return parcel;
      const next = receiveMessageOnPort(this.#port) as { message: PortMessage } | undefined;
      if (next === undefined) throw new CxmindError('INTERNAL', 'channel: a parcel is missing');
      if (next.message !== doorbell) this.#parcels.push(next.message);
    }
  }

  #deliverParcel([, header, ...frames]: Parcel): void {
    noteSharedBytes(frames.reduce((sum, { byteLength }) => sum + byteLength, 0));
    this.#deliver({ header, frames });
  }

  #deliver(packet: Packet): void {
    this.#taken = (this.#taken + 1) | 0;
    if (!this.#isDeaf) this.#receiver!(packet);
  }
}

/** A channel and the end to hand to a worker, which wraps it in a `ThreadChannel` of its own. */
export function threadPair(): [ThreadChannel, ThreadEnd] {
  const { port1, port2 } = new MessageChannel();
  const rings = new SharedArrayBuffer(2 * ringBytes(capacity));
  return [new ThreadChannel({ port: port1, rings, outbox: 0 }), { port: port2, rings, outbox: 1 }];
}
