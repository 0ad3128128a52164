/*
 * A ring: packets of one thread for one other, as bytes. Positions count the bytes ever written and ever read,
 * modulo 2^32; their remainder by the capacity is the place in the data. Each word that another thread writes
 * has a cache line to itself.
 *
 *   offset   bytes     what                                             written by
 *   0        4         i32 written: position of the next packet         writer
 *   64       4         i32 read: position up to which room is free      reader
 *   128      4         i32 asleep: 1 while the reader wants to be woken both
 *   192      capacity  packets, each at a multiple of 8 and going round the end where it must
 *
 * A packet in the data:
 *
 *   offset   bytes     what
 *   0        4         i32 n, its length
 *   4        4         i32 how many packets its sender sent before, modulo 2^32
 *   8        n         its bytes, and nothing up to the next multiple of 8
 *
 * One writer and one reader: a thread may be ended between any two of its instructions, and a writer that
 * died between claiming its place among several and publishing it would hold up all others for ever. Whoever
 * hears several threads has a ring from each.
 */
const ringHead = 192;

/** Where the words of a ring lie, in i32 elements. */
export const ringWords = { written: 0, read: 16, asleep: 32 } as const;
/** Bytes before a packet's own. */
export const packetHead = 8;
/** Where a ring's data begins, in bytes. */
export const ringDataAt = ringHead;

/** Bytes of a ring of that capacity, a power of two. */
export function ringBytes(capacity: number): number {
  return ringHead + capacity;
}

/** Bytes a packet takes up in a ring. */
export function packetBytes(length: number): number {
  return (packetHead + length + 7) & ~7;
}
