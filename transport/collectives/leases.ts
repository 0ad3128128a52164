/** Memory that threads lend each other during a call, so that inputs are read where they are. */
import { BroadcastChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { isShared, type SharedMemory } from '../../src/tensor/memory.ts';
import type { Call } from './call.ts';
import { isOneSided } from './direct.ts';
import type { Elements } from './elements.ts';

/** Size from which tensors are lent, in bytes. A smaller copy takes less time than the barrier that ends a lease. */
const leastBytes = 16 * 1024;

/** Memory that a rank lets the others read during one call: a buffer by its number, and a place in it. */
export interface BufferLease {
  /** Number of the buffer from 1, or one of `leaseNumbers`. */
  readonly number: number;
  /** True when the others have yet to be given the buffer. */
  readonly isNew: boolean;
  readonly byteOffset: number;
}

/** Numbers in place of a buffer's: the rank has no input that others read, or has one that it cannot lend. */
export const leaseNumbers = { nothing: -1, refused: 0 } as const;

const nothing: BufferLease = { number: leaseNumbers.nothing, isNew: false, byteOffset: 0 };
/** Lease of a rank that cannot lend its input. */
export const refused: BufferLease = { number: leaseNumbers.refused, isNew: false, byteOffset: 0 };

/** Message between ranks: a buffer with its number, or the number alone once the buffer is garbage. */
interface Note {
  readonly rank: number;
  readonly number: number;
  readonly buffer?: SharedMemory;
}

/**
 * Memory of tensors that threads of one process lend each other, so that each reads it in place.
 *
 * A buffer is handed to the others once and called by its number after that. When its owner drops it, so do they. The
 * others only read it, and hold it themselves, so that a thread may end or give up on a call at any moment.
 */
export class BufferLeases {
  readonly #rank: number;
  readonly #channel: BroadcastChannel;
  readonly #numbers = new WeakMap<SharedMemory, number>();
  readonly #dropped: FinalizationRegistry<number>;
  /** Buffers of the others, by rank and number. */
  readonly #borrowed = new Map<number, Map<number, SharedMemory>>();
  #last = 0;
  #isClosed = false;

  /** @param name of a channel that the threads of the group have to themselves */
  constructor(name: string, rank: number) {
    this.#rank = rank;
    this.#channel = new BroadcastChannel(name);
    this.#channel.unref();
    this.#channel.onmessage = ({ data }) => this.#take(data as Note);
    this.#dropped = new FinalizationRegistry((number) => this.#post({ rank, number }));
  }

  /** The lease of this rank for a call with these tensors. */
  offer(call: Call, input: Elements | null, output: Elements | null): BufferLease {
    if (call.count * bytesPerElement(call.dtype) < leastBytes) return refused;
    if (isOneSided(call) && this.#rank !== call.root) return nothing;
    if (input === null || this.#overwrites(call, input, output)) return refused;
    const { buffer, byteOffset } = input;
    if (!isShared(buffer)) return refused;
    const number = this.#numbers.get(buffer);
    return { number: number ?? this.#last + 1, isNew: number === undefined, byteOffset };
  }

  /** Gives the others a new buffer. All of them must listen. */
  introduce(buffer: SharedMemory): void {
    const number = ++this.#last;
    this.#numbers.set(buffer, number);
    this.#dropped.register(buffer, number);
    this.#post({ rank: this.#rank, number, buffer });
  }

  /** A buffer that its rank has introduced. */
  borrow(rank: number, number: number): SharedMemory {
    for (;;) {
      const buffer = this.#borrowed.get(rank)?.get(number);
      if (buffer !== undefined) return buffer;
      // Its rank posted it before it arrived at the barrier. So it is here, even if its event is still to come.
      const received = receiveMessageOnPort(asPort(this.#channel)) as { message: Note };
      this.#take(received.message);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    this.#borrowed.clear();
  }

  /** True when the output lies where others may still read this rank's input. */
  #overwrites({ operation, count }: Call, input: Elements, output: Elements | null): boolean {
    if (operation !== 'reduceScatter' && operation !== 'scatter') return false;
    if (output?.buffer !== input.buffer) return false;
    const own = input.byteOffset + this.#rank * count * input.BYTES_PER_ELEMENT;
    return output.byteOffset !== own;
  }

  #take({ rank, number, buffer }: Note): void {
    const ofRank = this.#borrowed.get(rank) ?? new Map<number, SharedMemory>();
    this.#borrowed.set(rank, ofRank);
    if (buffer === undefined) ofRank.delete(number);
    else ofRank.set(number, buffer);
  }

  #post(note: Note): void {
    if (!this.#isClosed) this.#channel.postMessage(note);
  }
}

/** A BroadcastChannel as `receiveMessageOnPort` takes it, too. Node's types do not say so. */
function asPort(channel: BroadcastChannel): MessagePort {
  return channel as unknown as MessagePort;
}
