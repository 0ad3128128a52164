/**
 * A channel between two threads of a process. Its memory has two halves: end 0 writes the first, end 1 the second.
 *
 *   offset   bytes      content of a half
 *   0        ring       packets
 *   ring     account    grants
 */
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import Denque from 'denque';
import {
  isShared,
  lastingBuffer,
  noteSharedBytes,
  type SharedMemory,
} from '../../src/tensor/memory.ts';
import type { Channel, Packet } from '../channel.ts';
import type { PayloadHeap } from '../shared/heap.ts';
import { accountBytes } from '../shared/account.ts';
import { ringBytes, RingReader, RingWriter } from '../shared/ring.ts';
import { descriptorsIn, descriptorsOf, GrantedFrames, type Descriptor } from './granted-frames.ts';

/** Capacity of a channel's ring. Packets that find no room go by the port; 1024 small messages fill half of it. */
export const channelCapacity = 1 << 18;
const halfBytes = ringBytes(channelCapacity) + accountBytes;

/** Bytes of a channel's memory. */
const channelBytes = 2 * halfBytes;

/** Offsets of the ring and of the account that an end writes, in bytes. */
function channelHalf(end: 0 | 1): { readonly ring: number; readonly account: number } {
  return { ring: end * halfBytes, account: end * halfBytes + ringBytes(channelCapacity) };
}

/** Message that only wakes the other end. */
const doorbell = 0;

/** A packet that goes by the port: the number of packets that were sent before, its header, its frames. */
type Parcel = readonly [
  sequence: number,
  header: Uint8Array,
  ...frames: (Uint8Array | Descriptor)[],
];

/** Message of the port. Bare memory is a slab that descriptors are going to name. */
type PortMessage = Parcel | SharedMemory | typeof doorbell;

/** One end of a channel, to be sent to the thread that makes a `ThreadChannel` of it. */
export interface ThreadEnd {
  /** Port, which must be transferred. */
  readonly port: MessagePort;
  readonly memory: SharedMemory;
  /** Half of the memory that this end writes. */
  readonly end: 0 | 1;
}

/**
 * Channel between two threads of a process: a ring of shared memory in each direction, and a MessagePort.
 *
 * A packet goes by the ring if it has no frames, or if all of them lie on slabs. Then descriptors of the frames go by
 * the ring, and the receiver holds the blocks until it drops what it got. The port only wakes a reader that sleeps.
 * Other packets go by the port, their frames as handles of their memory, and so do packets that find no room in the
 * ring. All packets are numbered and delivered in order.
 */
export class ThreadChannel implements Channel {
  readonly closed: Promise<void>;
  readonly #port: MessagePort;
  readonly #outbox: RingWriter;
  readonly #inbox: RingReader;
  readonly #granted: GrantedFrames;
  readonly #parcels = new Denque<Parcel>();
  #receiver: ((packet: Packet) => void) | undefined;
  #sent = 0;
  #taken = 0;
  #isClosed = false;
  #isDeaf = false;

  /** @param heap the payloads of this thread */
  constructor({ port, memory, end }: ThreadEnd, heap: PayloadHeap) {
    const [ours, theirs] = [channelHalf(end), channelHalf(end === 0 ? 1 : 0)];
    this.#port = port;
    this.#outbox = new RingWriter(memory, ours.ring, channelCapacity, () => {
      this.#port.postMessage(doorbell);
    });
    this.#inbox = new RingReader(memory, theirs.ring, channelCapacity);
    this.#granted = new GrantedFrames(heap, memory, ours, theirs);
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
    if (frames.length === 0) {
      if (!this.#outbox.write(sequence, header)) this.#sendParcel(sequence, header, []);
    } else {
      this.#sendFrames(sequence, header, frames);
    }
    return true;
  }

  receive(receiver: (packet: Packet) => void): void {
    this.#receiver = receiver;
    this.#port.on('message', (message: PortMessage) => {
      this.#sort(message);
      this.#drain();
    });
    setImmediate(() => this.#drain());
  }

  /** Takes back the blocks that the peer holds. Its thread must have ended. */
  reclaim(): void {
    this.#granted.reclaim();
  }

  close(): void {
    this.#isDeaf = true;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#port.close();
  }

  #sendFrames(sequence: number, header: Uint8Array, frames: readonly Uint8Array[]): void {
    const introduce = (slab: SharedMemory): void => this.#port.postMessage(slab);
    const sent = frames.map((frame) => this.#granted.grant(frame, introduce) ?? frame);
    const areGranted = sent.every((frame) => !(frame instanceof Uint8Array));
    const isWritten = areGranted && this.#outbox.write(sequence, header, descriptorsOf(sent));
    if (!isWritten) this.#sendParcel(sequence, header, sent);
  }

  #sendParcel(
    sequence: number,
    header: Uint8Array,
    frames: readonly (Uint8Array | Descriptor)[],
  ): void {
    // A clone takes all of a view's buffer along, which may be far longer.
    this.#port.postMessage([sequence, new Uint8Array(header), ...frames] satisfies Parcel);
  }

  /**
   * Delivers the packets that are there now. True when the reader sleeps after it.
   *
   * Packets that come meanwhile wait for another turn of the event loop: two ends that answer each other must not starve
   * timers. After several packets the reader stays awake for one more turn. A busy writer would otherwise wake it for
   * every packet, which costs both of them more than the packet.
   *
   * @param isAwake true in such an additional turn
   */
  #drain(isAwake = false): boolean {
    if (this.#receiver === undefined || this.#isDeaf) return true;
    let isDry = false;
    const taken = this.#taken;
    try {
      this.#inbox.refill();
      while (this.#inbox.hasNext) {
        if (this.#inbox.sequence === this.#taken) this.#deliverShifted();
        else this.#deliverParcel(this.#awaitedParcel());
      }
      while (this.#parcels.peekFront()?.[0] === this.#taken) {
        this.#deliverParcel(this.#parcels.shift()!);
      }
      const count = (this.#taken - taken) | 0;
      isDry = count <= (isAwake ? 0 : 1) && this.#inbox.prepareToSleep();
      return isDry;
    } finally {
      if (!isDry) setImmediate(() => this.#drain(true));
    }
  }

  #sort(message: PortMessage): void {
    if (message === doorbell) return;
    if (isShared(message)) this.#granted.introduce(message);
    else this.#parcels.push(message);
  }

  /** Takes a message of the port whose event is still to come. It was sent before a packet that is here. */
  #sortNext(): void {
    this.#sort((receiveMessageOnPort(this.#port) as { message: PortMessage }).message);
  }

  #awaitedParcel(): Parcel {
    for (;;) {
      const parcel = this.#parcels.shift();
      if (parcel !== undefined) return parcel;
      this.#sortNext();
    }
  }

  #deliverShifted(): void {
    const [header, descriptors] = this.#inbox.shift();
    const frames =
      descriptors.length === 0
        ? []
        : descriptorsIn(descriptors).map((descriptor) => this.#adopt(descriptor));
    this.#deliver({ header, frames });
  }

  #deliverParcel([, header, ...sent]: Parcel): void {
    let handleBytes = 0;
    const frames = sent.map((frame) => {
      if (!(frame instanceof Uint8Array)) return this.#adopt(frame);
      handleBytes += frame.byteLength;
      return frame;
    });
    noteSharedBytes(handleBytes);
    this.#deliver({ header, frames });
  }

  #adopt(descriptor: Descriptor): Uint8Array {
    while (!this.#granted.knows(descriptor)) this.#sortNext();
    return this.#granted.adopt(descriptor);
  }

  #deliver(packet: Packet): void {
    if (packet.frames.length > 0) this.#granted.heed();
    this.#taken = (this.#taken + 1) | 0;
    if (!this.#isDeaf) this.#receiver!(packet);
  }
}

/** Makes a channel, and the other end for a worker, which makes a `ThreadChannel` of it. */
export function threadPair(heap: PayloadHeap): [ThreadChannel, ThreadEnd] {
  const { port1, port2 } = new MessageChannel();
  const memory = lastingBuffer(channelBytes);
  return [
    new ThreadChannel({ port: port1, memory, end: 0 }, heap),
    { port: port2, memory, end: 1 },
  ];
}
