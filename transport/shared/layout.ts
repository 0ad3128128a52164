/*
 * A ring carries packets of one thread to one other, as bytes.
 *
 * Positions count all bytes that were ever written or read, modulo 2^32. The remainder of a position by the capacity is
 * its place in the data. Each word that another thread writes has a cache line to itself.
 *
 *   offset   bytes     content                                               writer
 *   0        4         i32 write position: where the next packet goes        writing end
 *   64       4         i32 read position: all before it is free again        reading end
 *   128      4         i32 asleep: 1 while the reader wants to be woken      both
 *   192      capacity  packets, each at a multiple of 16; a packet that      writing end
 *                      reaches the end goes on at the beginning
 *
 * A packet begins with a prefix of 16 bytes:
 *
 *   offset   bytes     content
 *   0        4         i32 n, length of the header
 *   4        4         i32 number of packets that were sent before, modulo 2^32
 *   8        4         i32 m, length of the descriptors of the frames
 *   12       4         unused
 *   16       n         header
 *   16+n     m         descriptors, and padding up to a multiple of 16
 *
 * There is one writer and one reader, since a thread may be ended between any two instructions. With several writers,
 * one that died between claiming its place and publishing it would hold up the others for ever. A thread that hears
 * several others has a ring from each.
 */

/** Places of a ring's words, in i32 elements. */
export const ringWords = { writePosition: 0, readPosition: 16, asleep: 32 } as const;
/** Bytes of a packet's prefix. */
export const packetPrefixBytes = 16;
/** Places of the fields of a packet's prefix, in i32 elements. */
export const packetPrefixWords = { headerBytes: 0, sequence: 1, descriptorBytes: 2 } as const;
/** Offset of a ring's data, in bytes. */
export const ringDataAt = 192;

/** Bytes of a ring with that capacity, a power of two. */
export function ringBytes(capacity: number): number {
  return ringDataAt + capacity;
}

/** Bytes that a packet takes in a ring. */
export function packetBytes(headerBytes: number, descriptorBytes: number): number {
  return 16 * Math.ceil((packetPrefixBytes + headerBytes + descriptorBytes) / 16);
}

/*
 * A slab holds the payloads of the one thread that owns it. A block is a run of units. Other threads hold blocks by
 * counted grants.
 *
 *   offset   bytes     content                                                     writer
 *   0        4         i32 number of times that the owner found no room            owner
 *   64       4u        i32 references to the block that begins at each unit        all who hold it
 *                        bit 30      the owner holds it
 *                        bits 0..29  number of open grants to other threads
 *   64+4u    4u        i32 units of the block that begins at each unit             owner
 *   64+8u    1024u     data
 *
 * A block without references is free. Only the owner takes free blocks, so nobody waits for anybody, and a thread that
 * is ended in the middle of anything leaves at worst a block that stays taken.
 */

/** Bytes of a unit: a multiple of 64, so that every block is aligned as the data are. */
export const unitBytes = 1024;
/** Step of a slab's number of units. It makes the data begin at a multiple of 64 bytes, which kernels like. */
export const unitStep = 8;
/** The owner's hold in a block's references. */
export const ownersHold = 1 << 30;

/** Offsets of the parts of a slab with that many units, and its size, in bytes. */
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

/** Units of a slab with that size. */
export function unitsOf(sizeBytes: number): number {
  return (
    (sizeBytes - slabLayout(0).sizeBytes) / (slabLayout(1).sizeBytes - slabLayout(0).sizeBytes)
  );
}

/*
 * An account has an i32 for each grant of one end of a channel to the other: 1 while the holder has the block, 0 when
 * the holder gave it back, or the granter took it back from a holder that died. The one who turns 1 into 0 takes the
 * reference off the block, so that it is taken off once.
 */

/** Most grants that may be open at once in one direction of a channel. */
export const accountSize = 1 << 14;
/** Bytes of an account. */
export const accountBytes = 4 * accountSize;

/*
 * The memory of a channel between threads has two halves. End 0 writes the first, end 1 the second.
 *
 *   offset   bytes      content of a half
 *   0        ring       packets
 *   ring     account    grants
 */

/** Capacity of a channel's ring. Packets that find no room go by the port; 1024 small messages fill half of it. */
export const channelCapacity = 1 << 18;
const halfBytes = ringBytes(channelCapacity) + accountBytes;

/** Bytes of a channel's memory. */
export const channelBytes = 2 * halfBytes;

/** Offsets of the ring and of the account that an end writes, in bytes. */
export function channelHalf(end: 0 | 1): { readonly ring: number; readonly account: number } {
  return { ring: end * halfBytes, account: end * halfBytes + ringBytes(channelCapacity) };
}
