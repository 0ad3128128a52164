import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../src/errors.ts';
import type { Packet } from './channel.ts';

/*
 * The header of a packet, little-endian. Over ZeroMQ it is the first frame and the tensors' bytes follow, one frame
 * each; within a process the same header travels beside views of shared memory.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXM1': the format and its version
 *   4       4      u32 number of frames that belong to the packet
 *   8       4      u32 length e of the envelope
 *   12      4      u32 length b of the body
 *   16      e      envelope: who, what, which reply; all that a router reads
 *   16+e    b      body, msgpack: the message, and where it has tensors their dtypes and shapes
 */
const magic = 0x314d5843;
const prefixBytes = 16;
/** An envelope is a few names and numbers; anything longer is not ours. */
export const maxEnvelopeBytes = 1 << 16;
/** A body holds text and numbers; payloads of size belong in tensors. */
export const maxBodyBytes = 1 << 28;
export const maxFrames = 1 << 16;

/** A message with its tensors apart, before an envelope says where it goes. */
export interface Body {
  readonly bytes: Uint8Array;
  readonly frames: readonly Uint8Array[];
}

/** What `split` finds in a packet: views, no copies. */
export interface Parts {
  readonly envelope: Uint8Array;
  readonly body: Body;
}

/** One packet of an envelope and a body; the body's frames are not copied. */
export function join(envelope: Uint8Array, body: Body): Packet {
  const header = Buffer.allocUnsafe(prefixBytes + envelope.length + body.bytes.length);
  header.writeUInt32LE(magic, 0);
  header.writeUInt32LE(body.frames.length, 4);
  header.writeUInt32LE(envelope.length, 8);
  header.writeUInt32LE(body.bytes.length, 12);
  header.set(envelope, prefixBytes);
  header.set(body.bytes, prefixBytes + envelope.length);
  return { header, frames: body.frames };
}

/** The parts of a packet whose lengths add up, or WIRE_INVALID. */
export function split({ header, frames }: Packet): E.Either<CxmindError, Parts> {
  if (header.length < prefixBytes) return invalid(`a header of ${header.length} bytes`);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (view.getUint32(0, true) !== magic) return invalid('a header without the magic CXM1');
  const frameCount = view.getUint32(4, true);
  const envelopeBytes = view.getUint32(8, true);
  const bodyBytes = view.getUint32(12, true);
  if (frameCount !== frames.length || frameCount > maxFrames) {
    return invalid(`${frameCount} frames announced, ${frames.length} came`);
  }
  if (envelopeBytes > maxEnvelopeBytes) return invalid(`an envelope of ${envelopeBytes} bytes`);
  if (bodyBytes > maxBodyBytes) return invalid(`a body of ${bodyBytes} bytes`);
  if (prefixBytes + envelopeBytes + bodyBytes !== header.length) {
    return invalid(`parts of ${envelopeBytes} + ${bodyBytes} bytes in ${header.length}`);
  }
  const bodyStart = prefixBytes + envelopeBytes;
  return E.right({
    envelope: header.subarray(prefixBytes, bodyStart),
    body: { bytes: header.subarray(bodyStart), frames },
  });
}

function invalid(what: string): E.Either<CxmindError, never> {
  return E.left(new CxmindError('WIRE_INVALID', `packet: ${what}`));
}
