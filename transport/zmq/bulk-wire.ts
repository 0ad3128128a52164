import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';

/*
 * A bulk message is a ZeroMQ frame of 48 bytes, little-endian, and for a chunk its bytes in a second frame.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXB1'
 *   4       4      u32 1 for a chunk, 2 for word of which chunk comes next
 *   8       8      f64 number of this chunk, or of the next
 *   16      8      f64 number of the batch that holds the record of the chunk's packet
 *   24      8      f64 offset of the chunk in all the bulk of its channel
 *   32      4      u32 channel
 *   36      4      u32 length of the chunk
 *   40      8      zero
 */
const magic = 0x31425843;
const headBytes = 48;

/** Longest chunk that an end takes. */
export const maxChunkBytes = 1 << 22;
/** Longest chunk that we send: short enough to be copied while it is in the cache and the next one comes. */
export const chunkBytes = 1 << 19;

export interface ChunkHead {
  readonly sequence: number;
  readonly batch: number;
  readonly offset: number;
  readonly channel: number;
  readonly sizeBytes: number;
}

export type BulkMessage =
  | { readonly kind: 'chunk'; readonly head: ChunkHead; readonly bytes: Buffer }
  | { readonly kind: 'next'; readonly sequence: number };

export function encodeChunkHead(head: ChunkHead): Buffer {
  const bytes = Buffer.alloc(headBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeDoubleLE(head.sequence, 8);
  bytes.writeDoubleLE(head.batch, 16);
  bytes.writeDoubleLE(head.offset, 24);
  bytes.writeUInt32LE(head.channel, 32);
  bytes.writeUInt32LE(head.sizeBytes, 36);
  return bytes;
}

export function encodeNext(sequence: number): Buffer {
  const bytes = Buffer.alloc(headBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(2, 4);
  bytes.writeDoubleLE(sequence, 8);
  return bytes;
}

/** A bulk message whose lengths and numbers add up, or WIRE_INVALID. */
export function decodeBulk(parts: readonly Buffer[]): E.Either<CxmindError, BulkMessage> {
  const [head, bytes] = parts;
  if (head?.length !== headBytes) return invalid(`a head of ${head?.length ?? 0} bytes`);
  if (head.readUInt32LE(0) !== magic) return invalid('no magic CXB1');
  const [sequence, batch, offset] = [8, 16, 24].map((at) => head.readDoubleLE(at));
  if (![sequence, batch, offset].every(isCount) || head.readDoubleLE(40) !== 0) {
    return invalid('a head of no sense');
  }
  const kind = head.readUInt32LE(4);
  if (kind === 2 && parts.length === 1) return E.right({ kind: 'next', sequence: sequence! });
  if (kind !== 1 || bytes === undefined || parts.length !== 2) {
    return invalid(`kind ${kind} in ${parts.length} frames`);
  }
  const sizeBytes = head.readUInt32LE(36);
  if (bytes.length !== sizeBytes || sizeBytes === 0 || sizeBytes > maxChunkBytes) {
    return invalid(`a chunk of ${sizeBytes} bytes in a frame of ${bytes.length}`);
  }
  const channel = head.readUInt32LE(32);
  return E.right({
    kind: 'chunk',
    head: { sequence: sequence!, batch: batch!, offset: offset!, channel, sizeBytes },
    bytes,
  });
}

function isCount(value: number | undefined): boolean {
  return Number.isSafeInteger(value) && value! >= 0;
}

function invalid(what: string): E.Either<CxmindError, never> {
  return E.left(new CxmindError('WIRE_INVALID', `bulk message: ${what}`));
}
