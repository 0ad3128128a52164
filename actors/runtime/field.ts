import * as E from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import { decodeValue, encodeValue } from '../../transport/codec.ts';
import { setU32, u32At } from '../../transport/bytes.ts';

/** Bytes that are written or read from the front, little-endian. */
export class Cursor {
  bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Makes room for `count` bytes more and says where they begin. */
  claim(count: number): number {
    const start = this.at;
    this.at += count;
    if (this.at > this.bytes.length) {
      const longer = new Uint8Array(2 * this.at);
      longer.set(this.bytes);
      this.bytes = longer;
    }
    return start;
  }

  /** Where the next `count` bytes begin. @throws WIRE_INVALID when there are fewer */
  pass(count: number): number {
    const start = this.at;
    if (count > this.bytes.length - start) throw invalid('that ends early');
    this.at += count;
    return start;
  }
}

/** How one field of an envelope is laid out; `read` throws WIRE_INVALID. */
export interface Field<T> {
  write(value: T, to: Cursor): void;
  read(from: Cursor): T;
}

/** Eight bytes as a number, in the order of this machine, which is that of the wire. */
const f64 = new Float64Array(1);
const f64Bytes = new Uint8Array(f64.buffer);

/** An f64. */
export const number: Field<number> = {
  write(value, to) {
    const at = to.claim(8);
    f64[0] = value;
    for (let i = 0; i < 8; i++) to.bytes[at + i] = f64Bytes[i]!;
  },
  read(from) {
    const at = from.pass(8);
    for (let i = 0; i < 8; i++) f64Bytes[i] = from.bytes[at + i]!;
    return f64[0]!;
  },
};

/** A u32 length and that many bytes of UTF-8; names are short and ASCII, and quicker one by one. */
export const text: Field<string> = {
  write(value, to) {
    const length = Buffer.byteLength(value);
    const at = to.claim(4 + length);
    const { bytes } = to;
    setU32(bytes, at, length);
    if (length !== value.length || length > shortText) {
      bufferOf(bytes).write(value, at + 4, 'utf8');
    } else {
      for (let i = 0; i < length; i++) bytes[at + 4 + i] = value.charCodeAt(i);
    }
  },
  read(from) {
    const length = u32At(from.bytes, from.pass(4));
    const start = from.pass(length);
    const { bytes } = from;
    if (length > shortText || length === 0) {
      return bufferOf(bytes).toString('utf8', start, start + length);
    }
    const place = (bytes[start]! + 7 * bytes[start + length - 1]! + 31 * length) % recentCount;
    const recent = recentTexts[place];
    if (recent !== undefined && recent.isAt(bytes, start, length)) return recent.value;
    const found = new ShortText(bytes.slice(start, start + length));
    recentTexts[place] = found;
    return found.value;
  },
};
const shortText = 32;

/** A short text and the bytes it came as. */
class ShortText {
  readonly value: string;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.value = bufferOf(bytes).toString('utf8');
  }

  isAt(bytes: Uint8Array, start: number, length: number): boolean {
    if (length !== this.#bytes.length) return false;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== this.#bytes[i]) return false;
    return true;
  }
}

/** Names come again and again: those read last, by a hash of theirs, so that they are not made anew each time. */
const recentCount = 256;
const recentTexts = new Array<ShortText | undefined>(recentCount);

/** A u32 length and that many bytes of msgpack, held against a codec when read: for what is rare. */
export function checked<T>(codec: t.Type<T, unknown>): Field<T> {
  return {
    write(value, to) {
      const packed = encodeValue(value);
      const at = to.claim(4 + packed.length);
      setU32(to.bytes, at, packed.length);
      to.bytes.set(packed, at + 4);
    },
    read(from) {
      const length = u32At(from.bytes, from.pass(4));
      const start = from.pass(length);
      const value = decodeValue(from.bytes.subarray(start, start + length));
      const decoded = codec.decode(value);
      if (E.isLeft(decoded)) throw invalid(`without the ${codec.name} it should have`);
      return decoded.right;
    },
  };
}

/** The error of an envelope that is not as announced. */
export function invalid(what: string): CxmindError {
  return new CxmindError('WIRE_INVALID', `envelope ${what}`);
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
