import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import { countAt, putCount, putU32, u32At } from './little-endian.ts';

/*
 * A bulk message is a ZeroMQ frame of 40 bytes, little-endian, and for a chunk its bytes in a second frame.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXB1'
 *   4       4      u32 1 for a chunk, 2 for word of which chunk comes next
 *   8       8      u64 number of this chunk, or of the next
 *   16      8      u64 number of the batch that holds the record of the chunk's packet
 *   24      8      u64 offset of the chunk in all the bulk of its channel
 *   32      4      u32 channel
 *   36      4      u32 length of the chunk
 */
const magic = 0x31425843;
const headBytes = 40;
const kinds = { chunk: 1, next: 2 } as const;

/** Longest chunk that an end takes. */
export const maxChunkBytes = 1 << 22;
/** Longest chunk that we send: short enough to be copied while the next one comes. */
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
  const bytes = start('chunk', head.sequence);
  putCount(bytes, 16, head.batch);
  putCount(bytes, 24, head.offset);
  putU32(bytes, 32, head.channel);
  putU32(bytes, 36, head.sizeBytes);
  return bytes;
}

export function encodeNext(sequence: number): Buffer {
  return start('next', sequence);
}

function start(kind: keyof typeof kinds, sequence: number): Buffer {
  const bytes = Buffer.alloc(headBytes);
  putU32(bytes, 0, magic);
  putU32(bytes, 4, kinds[kind]);
  putCount(bytes, 8, sequence);
  return bytes;
}

/** A bulk message whose lengths and numbers add up, or WIRE_INVALID. */
export function decodeBulk(parts: readonly Buffer[]): E.Either<CxmindError, BulkMessage> {
  const [head, bytes] = parts;
  if (head?.length !== headBytes) return invalid(`a head of ${head?.length ?? 0} bytes`);
  if (u32At(head, 0) !== magic) return invalid('no magic CXB1');
  const kind = u32At(head, 4);
  const [sequence, batch, offset] = [countAt(head, 8), countAt(head, 16), countAt(head, 24)];
  if (Math.max(sequence, batch, offset) > Number.MAX_SAFE_INTEGER) {
    return invalid('a head of no sense');
  }
  if (kind === kinds.next && parts.length === 1) return E.right({ kind: 'next', sequence });
  if (kind !== kinds.chunk || bytes === undefined || parts.length !== 2) {
    return invalid(`kind ${kind} in ${parts.length} frames`);
  }
  const sizeBytes = u32At(head, 36);
  if (bytes.length !== sizeBytes || sizeBytes === 0 || sizeBytes > maxChunkBytes) {
    return invalid(`a chunk of ${sizeBytes} bytes in a frame of ${bytes.length}`);
  }
  const channel = u32At(head, 32);
  return E.right({ kind: 'chunk', head: { sequence, batch, offset, channel, sizeBytes }, bytes });
}

function invalid(what: string): E.Either<CxmindError, never> {
  return E.left(new CxmindError('WIRE_INVALID', `bulk message: ${what}`));
}
