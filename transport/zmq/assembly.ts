import Denque from 'denque';
import { CxmindError } from '../../src/errors.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import type { Packet } from '../channel.ts';
import type { InPart, PacketRecord } from './control-message.ts';

/** Alignment of frames, as of memory of their own: by less, ONNX Runtime sums some rows in another order. */
const alignment = 16;
/** Most bytes of a message that a header keeps alive, and takes along when it is sent to a thread. */
const maxSlackBytes = 256;

/** A part of a packet that comes as bulk. */
interface Missing {
  readonly sizeBytes: number;
  /** Makes the memory that the part's bytes go into; called when the first of them come. */
  readonly allocate: () => Uint8Array;
}

interface Arrival {
  readonly packet: { header: Uint8Array; readonly frames: Uint8Array[] };
  readonly bulkBytes: number;
  /** The parts that it lacks; the last one comes next. */
  readonly missing: Missing[];
}

/**
 * The packets of a channel on their way in.
 *
 * Control messages announce them, chunks of bulk fill them, and they are taken in the order of sending. The sender may
 * have as many bulk bytes on the way as it was granted: `creditBytes` beyond what was taken, or all of the next packet
 * if that is longer. So a receiver that takes nothing holds no more than that.
 */
export class Assembly {
  readonly #creditBytes: number;
  readonly #arrivals = new Denque<Arrival>();
  /** Arrivals that lack bytes, in order. */
  readonly #incomplete = new Denque<Arrival>();
  /** The part that is being filled. */
  #part: { readonly bytes: Uint8Array; filled: number } | undefined;
  #receivedBytes = 0;
  #takenBytes = 0;
  #grantedBytes: number;

  constructor(creditBytes: number) {
    this.#creditBytes = creditBytes;
    this.#grantedBytes = creditBytes;
  }

  /** True when no packet lacks bytes. */
  get isComplete(): boolean {
    return this.#incomplete.length === 0;
  }

  get isEmpty(): boolean {
    return this.#arrivals.length === 0;
  }

  /** Adds a packet behind all others. Its inline frames are copied to shared memory. */
  announce({ header, frames }: PacketRecord): void {
    const missing: Missing[] = [];
    const packet = { header: inlineHeader(header), frames: inlineFrames(frames) };
    let bulkBytes = 0;
    const expect = (sizeBytes: number, allocate: () => Uint8Array): void => {
      bulkBytes += sizeBytes;
      missing.push({ sizeBytes, allocate });
    };
    for (let i = frames.length - 1; i >= 0; i--) {
      const frame = frames[i];
      if (typeof frame !== 'number') continue;
      expect(frame, () => (packet.frames[i] = sharedMemory(frame)));
    }
    if (typeof header === 'number') {
      expect(header, () => (packet.header = new Uint8Array(header)));
    }
    const arrival = { packet, bulkBytes, missing };
    this.#arrivals.push(arrival);
    if (missing.length > 0) this.#incomplete.push(arrival);
  }

  /**
   * Adds the next bytes of the oldest packet that lacks some.
   *
   * @param offset in all the bulk of the channel
   * @throws WIRE_INVALID for bytes that no announced packet waits for
   */
  fill(offset: number, bytes: Uint8Array): void {
    const arrival = this.#incomplete.peekFront();
    const missing = arrival?.missing.at(-1);
    if (arrival === undefined || missing === undefined || offset !== this.#receivedBytes) {
      throw invalid(offset, 'that nothing waits for');
    }
    if (offset + bytes.length > this.#grantedBytes) throw invalid(offset, 'beyond the credit');
    const part = (this.#part ??= { bytes: missing.allocate(), filled: 0 });
    if (part.filled + bytes.length > missing.sizeBytes) throw invalid(offset, 'across two parts');
    part.bytes.set(bytes, part.filled);
    part.filled += bytes.length;
    this.#receivedBytes += bytes.length;
    if (part.filled < missing.sizeBytes) return;
    this.#part = undefined;
    arrival.missing.pop();
    if (arrival.missing.length === 0) this.#incomplete.shift();
  }

  /** Takes out the next packet, once it is complete. */
  take(): Packet | undefined {
    const arrival = this.#arrivals.peekFront();
    if (arrival === undefined || arrival.missing.length > 0) return undefined;
    this.#arrivals.shift();
    this.#takenBytes += arrival.bulkBytes;
    return arrival.packet;
  }

  /** The offset up to which the sender may go from now on; undefined when it is not worth a message. */
  grant(): number | undefined {
    const nextBytes = this.#arrivals.peekFront()?.bulkBytes ?? 0;
    const limit = this.#takenBytes + Math.max(this.#creditBytes, nextBytes);
    const isNeeded = this.#grantedBytes < this.#takenBytes + nextBytes;
    if (!isNeeded && limit - this.#grantedBytes < this.#creditBytes / 4) return undefined;
    if (limit === this.#grantedBytes) return undefined;
    this.#grantedBytes = limit;
    return limit;
  }

  clear(): void {
    this.#arrivals.clear();
    this.#incomplete.clear();
    this.#part = undefined;
  }
}

/** The header in memory of its own where the message is much longer; empty if it comes as bulk. */
function inlineHeader(header: InPart): Uint8Array {
  if (typeof header === 'number') return new Uint8Array(0);
  return header.buffer.byteLength - header.length > maxSlackBytes ? header.slice() : header;
}

/** Inline frames side by side in one shared block, and empty places for the others. */
function inlineFrames(frames: readonly InPart[]): Uint8Array[] {
  if (frames.length === 0) return [];
  let sizeBytes = 0;
  for (const frame of frames) if (typeof frame !== 'number') sizeBytes += padded(frame.length);
  const block = sharedMemory(sizeBytes);
  let at = 0;
  return frames.map((frame) => {
    if (typeof frame === 'number') return block.subarray(0, 0);
    const bytes = block.subarray(at, at + frame.length);
    bytes.set(frame);
    at += padded(frame.length);
    return bytes;
  });
}

function padded(sizeBytes: number): number {
  return Math.ceil(sizeBytes / alignment) * alignment;
}

/** @throws WIRE_INVALID when a peer announces more than there is memory for */
function sharedMemory(sizeBytes: number): Uint8Array {
  try {
    return new Uint8Array(sharedBuffer(sizeBytes));
  } catch (cause) {
    throw new CxmindError('WIRE_INVALID', `bulk: no memory for ${sizeBytes} bytes`, { cause });
  }
}

function invalid(offset: number, how: string): CxmindError {
  return new CxmindError('WIRE_INVALID', `bulk: a chunk at ${offset} ${how}`);
}
