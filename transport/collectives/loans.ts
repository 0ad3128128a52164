import { BroadcastChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { isShared, type SharedMemory } from '../../src/tensor/memory.ts';
import type { Call } from './call.ts';
import type { Elements } from './elements.ts';

/** Tensors of fewer bytes are staged: their copies take less than the barrier that a loan ends with. */
const LEAST_BYTES = 16 * 1024;

/** What a rank lets the others read during one call: a buffer by its number, and where in it. */
export interface Loan {
  /** Number of the buffer; `loanNumbers` for none. */
  readonly number: number;
  /** Whether the others have yet to be given the buffer. */
  readonly isNew: boolean;
  readonly byteOffset: number;
}

/** In place of a buffer's number: the rank has nothing that others read; or it has, and cannot lend it. */
export const loanNumbers = { nothing: -1, refused: 0 } as const;

const nothing: Loan = { number: loanNumbers.nothing, isNew: false, byteOffset: 0 };
const refused: Loan = { number: loanNumbers.refused, isNew: false, byteOffset: 0 };

/** What goes over the channel: a buffer under its number, or the number alone once the buffer is garbage. */
interface Note {
  readonly rank: number;
  readonly number: number;
  readonly buffer?: SharedMemory;
}

/**
 * The memory of tensors that threads of one process lend each other, so that they read it where it is.
 *
 * A buffer is handed to the others once and called by its number after that; when its owner drops it, so do they.
 * The others only ever read it, and hold it themselves: a thread may end at any moment, or give up on a call,
 * and nobody touches memory that is gone or that is its owner's alone again.
 */
export class Loans {
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

  /** What this rank lends for a call with these tensors. */
  offer(call: Call, input: Elements | null, output: Elements | null): Loan {
    const isOneSided = call.operation === 'broadcast' || call.operation === 'scatter';
    if (call.count * bytesPerElement(call.dtype) < LEAST_BYTES) return refused;
    if (isOneSided && this.#rank !== call.root) return nothing;
    if (input === null || this.#overwrites(call, input, output)) return refused;
    const { buffer, byteOffset } = input;
    if (!isShared(buffer)) return refused;
    const number = this.#numbers.get(buffer);
    return { number: number ?? this.#last + 1, isNew: number === undefined, byteOffset };
  }

  /** Gives the others a new buffer, once all of them listen. */
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
      // Posted before its rank arrived at the barrier: it is here, whether its event was or not.
      const received = receiveMessageOnPort(asPort(this.#channel)) as { message: Note };
      this.#take(received.message);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    this.#borrowed.clear();
  }

  /** Whether the output lies where others may still read this rank's input. */
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

/** Node takes a BroadcastChannel here as well; its types do not say so. */
function asPort(channel: BroadcastChannel): MessagePort {
  return channel as unknown as MessagePort;
}
