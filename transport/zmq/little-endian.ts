/*
 * Numbers in messages, byte by byte: a DataView of each message costs more than all of its numbers.
 */

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** @param at must lie four bytes before the end */
export function u32At(bytes: Uint8Array, at: number): number {
  const low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
  return (low | (bytes[at + 3]! << 24)) >>> 0;
}

/** Writes a number of things or bytes as a u64. */
export function putCount(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, value);
  putU32(bytes, at + 4, Math.floor(value / 2 ** 32));
}

/** Reads a u64; beyond `Number.MAX_SAFE_INTEGER` the result is some number beyond it. */
export function countAt(bytes: Uint8Array, at: number): number {
  return u32At(bytes, at) + u32At(bytes, at + 4) * 2 ** 32;
}
