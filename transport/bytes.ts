/**
 * Numbers and texts in messages, little-endian.
 *
 * Numbers are put together byte by byte: a DataView for each message costs more than all of its numbers. A u53 is a
 * u64 that a JavaScript number holds exactly.
 */
import { CxmindError } from '../src/errors.ts';

/** Four bytes as a number. */
export function u32At(bytes: Uint8Array, at: number): number {
  const low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
  return (low | (bytes[at + 3]! << 24)) >>> 0;
}

/** Writes a number below 2^32 as four bytes. */
export function setU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** The upper half of a u53; the lower one is the number itself, cut to 32 bits. */
export function upperWord(value: number): number {
  return Math.floor(value / 2 ** 32);
}

/** The u53 of its lower and its upper half; the lower one may have been read as an i32. */
export function u53Of(lower: number, upper: number): number {
  return (lower >>> 0) + upper * 2 ** 32;
}

/** Methods of Buffer, which work on any Uint8Array. */
const buffers = Buffer.prototype as Buffer;

/** Reads a message from the front. */
export class ByteReader {
  readonly bytes: Uint8Array;
  /** Offset of the next byte. */
  at = 0;
  readonly #what: string;

  /** @param what the message is, for errors */
  constructor(bytes: Uint8Array, what: string) {
    this.bytes = bytes;
    this.#what = what;
  }

  /** Bytes that were not read yet. */
  get left(): number {
    return this.bytes.length - this.at;
  }

  /** Passes over bytes and returns the offset of the first. @throws WIRE_INVALID when there are fewer */
  skip(count: number): number {
    const start = this.at;
    if (count > this.bytes.length - start) this.fail('that ends early');
    this.at = start + count;
    return start;
  }

  u8(): number {
    return this.bytes[this.skip(1)]!;
  }

  u32(): number {
    return u32At(this.bytes, this.skip(4));
  }

  /** A u64. @throws WIRE_INVALID when a number does not hold it exactly */
  u53(): number {
    const at = this.skip(8);
    const value = u53Of(u32At(this.bytes, at), u32At(this.bytes, at + 4));
    return value <= Number.MAX_SAFE_INTEGER ? value : this.fail(`with a number beyond 2^53`);
  }

  f64(): number {
    return buffers.readDoubleLE.call(this.bytes, this.skip(8));
  }

  /** A view of bytes, of the message's own class. */
  view(length: number): Uint8Array {
    const start = this.skip(length);
    return this.bytes.subarray(start, this.at);
  }

  /** A u32 length and that many bytes of UTF-8. */
  text(): string {
    const { buffer, byteOffset, length } = this.view(this.u32());
    return Buffer.from(buffer, byteOffset, length).toString();
  }

  /** @throws WIRE_INVALID when bytes are left */
  end(): void {
    if (this.left !== 0) this.fail(`with ${this.left} bytes after its end`);
  }

  /** @throws WIRE_INVALID, always */
  fail(how: string): never {
    throw new CxmindError('WIRE_INVALID', `${this.#what} ${how}`);
  }
}

/** Length to which an ASCII text is written faster by a loop than by a call of `Buffer.write`. */
const shortText = 32;

/** Writes a message from the front into memory that grows with it. */
export class ByteWriter {
  #bytes: Buffer;
  /** Offset of the next byte; may be set back to write another message in place of this one. */
  at = 0;

  /** @param sizeBytes of the message, if it is known; it may become longer */
  constructor(sizeBytes: number) {
    this.#bytes = Buffer.allocUnsafe(sizeBytes);
  }

  /** The message so far, in place. */
  get written(): Buffer {
    return this.at === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.at);
  }

  u8(value: number): void {
    const at = this.#claim(1);
    this.#bytes[at] = value;
  }

  u32(value: number): void {
    const at = this.#claim(4);
    setU32(this.#bytes, at, value);
  }

  /** Writes a number up to `Number.MAX_SAFE_INTEGER` as a u64. */
  u53(value: number): void {
    const at = this.#claim(8);
    setU32(this.#bytes, at, value);
    setU32(this.#bytes, at + 4, upperWord(value));
  }

  f64(value: number): void {
    const at = this.#claim(8);
    this.#bytes.writeDoubleLE(value, at);
  }

  put(bytes: Uint8Array): void {
    const at = this.#claim(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Writes a u32 length and the text in UTF-8. */
  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.u32(length);
    const at = this.#claim(length);
    const bytes = this.#bytes;
    if (length !== value.length || length > shortText) bytes.write(value, at, 'utf8');
    else for (let i = 0; i < length; i++) bytes[at + i] = value.charCodeAt(i);
  }

  /** Copies a short message, for which a view would cost more than this loop. */
  copyTo(target: Uint8Array, offset: number): void {
    const bytes = this.#bytes;
    for (let i = 0; i < this.at; i++) target[offset + i] = bytes[i]!;
  }

  /** Makes room and returns its offset. The bytes may be others afterwards, so they must be read after this. */
  #claim(count: number): number {
    const start = this.at;
    this.at = start + count;
    if (this.at > this.#bytes.length) {
      const longer = Buffer.allocUnsafe(2 * this.at);
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    return start;
  }
}
