/**
 * A bulk message is a head, little-endian, and for a chunk its bytes in a second ZeroMQ frame.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXB2': the format and its version
 *   4       4      u32 1 for a chunk, 2 for the announcement of the next one
 *   8       8      u64 number of this chunk, or of the next; an announcement ends here
 *   16      8      u64 number of the batch that holds the record of the chunk's packet
 *   24      8      u64 offset of the chunk in all the bulk of its channel
 *   32      4      u32 channel
 */
import { CxmindError } from '../../src/errors.ts';
import { ByteReader, ByteWriter } from '../bytes.ts';

const magic = 0x32425843;
const kinds = { chunk: 1, next: 2 } as const;

/** Longest chunk that an end takes. */
export const maxChunkBytes = 1 << 22;
/** Longest chunk that we send: short enough to be copied while the next one comes. */
export const chunkBytes = 1 << 19;

/** The place of a chunk in its lane, behind its packet's record, and in its channel. */
export interface ChunkHead {
  readonly sequence: number;
  readonly batch: number;
  readonly offset: number;
  readonly channel: number;
}

/** A bulk message that was read. */
export type BulkMessage =
  | { readonly kind: 'chunk'; readonly head: ChunkHead; readonly bytes: Buffer }
  | { readonly kind: 'next'; readonly sequence: number };

/** Encodes the head of a chunk, which goes before its bytes. */
export function encodeChunkHead({ sequence, batch, offset, channel }: ChunkHead): Buffer {
  const writer = start('chunk', sequence, 36);
  writer.u53(batch);
  writer.u53(offset);
  writer.u32(channel);
  return writer.written;
}

/** Encodes the announcement of the next chunk by its number. */
export function encodeNext(sequence: number): Buffer {
  return start('next', sequence, 16).written;
}

function start(kind: keyof typeof kinds, sequence: number, sizeBytes: number): ByteWriter {
  const writer = new ByteWriter(sizeBytes);
  writer.u32(magic);
  writer.u32(kinds[kind]);
  writer.u53(sequence);
  return writer;
}

/**
 * Reads the frames of a bulk message. The bytes of a chunk are not copied.
 *
 * @throws WIRE_INVALID when lengths and numbers do not add up
 */
export function decodeBulk([first, bytes, ...more]: readonly Buffer[]): BulkMessage {
  if (first === undefined || more.length > 0) {
    throw new CxmindError('WIRE_INVALID', `bulk message of ${2 + more.length} frames`);
  }
  const reader = new ByteReader(first, 'bulk message');
  if (reader.u32() !== magic) reader.fail('without the magic CXB2');
  const kind = reader.u32();
  const sequence = reader.u53();
  if (kind === kinds.next && bytes === undefined) {
    reader.end();
    return { kind: 'next', sequence };
  }
  if (kind !== kinds.chunk || bytes === undefined) return reader.fail(`of kind ${kind}`);
  const head = { sequence, batch: reader.u53(), offset: reader.u53(), channel: reader.u32() };
  reader.end();
  if (bytes.length === 0 || bytes.length > maxChunkBytes) {
    reader.fail(`with a chunk of ${bytes.length} bytes`);
  }
  return { kind: 'chunk', head, bytes };
}
