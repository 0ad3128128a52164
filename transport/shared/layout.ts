/*
 * A ring: packets of one thread for one other, as bytes. Positions count the bytes ever written and ever read,
 * modulo 2^32; their remainder by the capacity is the place in the data. Each word that another thread writes
 * has a cache line to itself.
 *
 *   offset   bytes     what                                               written by
 *   0        4         i32 written: position of the next packet           writer
 *   64       4         i32 read: position up to which room is free        reader
 *   128      4         i32 asleep: 1 while the reader wants to be woken   both
 *   192      capacity  packets, each at a multiple of 16 and going round the end where it must
 *
 * A packet in the data:
 *
 *   offset   bytes     what
 *   0        4         i32 n, length of its header
 *   4        4         i32 how many packets its sender sent before, modulo 2^32
 *   8        4         i32 m, length of the descriptors of its frames
 *   12       4         nothing
 *   16       n         its header
 *   16+n     m         descriptors, and nothing up to the next multiple of 16
 *
 * One writer and one reader: a thread may be ended between any two of its instructions, and a writer that
 * died between claiming its place among several and publishing it would hold up all others for ever. Whoever
 * hears several threads has a ring from each.
 */
const ringHead = 192;

/** Where the words of a ring lie, in i32 elements. */
export const ringWords = { written: 0, read: 16, asleep: 32 } as const;
/** Bytes before a packet's own. */
export const packetHead = 16;
/** Where a ring's data begins, in bytes. */
export const ringDataAt = ringHead;

/** Bytes of a ring of that capacity, a power of two. */
export function ringBytes(capacity: number): number {
  return ringHead + capacity;
}

/** Bytes a packet takes up in a ring. */
export function packetBytes(headerBytes: number, descriptorBytes: number): number {
  return 16 * Math.ceil((packetHead + headerBytes + descriptorBytes) / 16);
}

/*
 * A slab: payload blocks of the one thread that owns it, each of whole units, which other threads hold by counts.
 *
 *   offset   bytes     what                                                        written by
 *   0        4         i32 how often there was no room                             owner
 *   64       4u        i32 references of the block that begins at each unit        all who hold it
 *                        bit 30      the owner holds it
 *                        bits 0..29  how many grants to other threads are open
 *   64+4u    4u        i32 units of the block that begins at each unit             owner
 *   64+8u    1024u     data
 *
 * A block is free when its references are 0, and only the owner takes free blocks: nobody waits for anybody, and a
 * thread that is ended in the middle of anything leaves at worst a block that stays taken.
 */

/** Bytes of a unit; a multiple of 64, so that blocks lie as well as the data begin. */
export const unitBytes = 1024;
/** Units come by so many, so that data begin at a multiple of 64 bytes, as kernels like their operands. */
export const unitStep = 8;
/** The owner's own hold on a block. */
export const ownersHold = 1 << 30;

/** Where the parts of a slab of that many units begin, and its size, in bytes. */
export function slabLayout(units: number): {
  readonly shortages: number;
  readonly references: number;
  readonly lengths: number;
  readonly data: number;
  readonly sizeBytes: number;
} {
  const references = 64;
  const lengths = references + 4 * units;
  const data = lengths + 4 * units;
  return { shortages: 0, references, lengths, data, sizeBytes: data + unitBytes * units };
}

/** Units of a slab of that size. */
export function unitsOf(sizeBytes: number): number {
  return (
    (sizeBytes - slabLayout(0).sizeBytes) / (slabLayout(1).sizeBytes - slabLayout(0).sizeBytes)
  );
}

/*
 * An account: the grants of one end of a channel to the other, one i32 each: 1 while the holder has the block, 0 when
 * it gave it back, or when the granter took it back from a holder that died. Whoever turns 1 into 0 takes the
 * reference off the block, so it is taken off once.
 */

/** Grants that may be open at once in one direction of a channel. */
export const accountSize = 1 << 14;
/** Bytes of an account. */
export const accountBytes = 4 * accountSize;

/*
 * The memory of a channel between threads: what end 0 writes, then what end 1 writes.
 *
 *   offset   bytes      what
 *   0        ring       packets
 *   ring     account    grants
 */

/** Bytes on their way in one direction before packets go by the port; 1024 small messages fill half of it. */
export const channelCapacity = 1 << 18;
const halfBytes = ringBytes(channelCapacity) + accountBytes;

/** Bytes of the memory of a channel. */
export const channelBytes = 2 * halfBytes;

/** Where the ring and the account that an end writes begin, in bytes. */
export function channelHalf(end: 0 | 1): { readonly ring: number; readonly account: number } {
  return { ring: end * halfBytes, account: end * halfBytes + ringBytes(channelCapacity) };
}
