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

/** One packet of an envelope, the first `envelopeBytes` of `envelope`, and a body, whose frames are not copied. */
export function join(envelope: Uint8Array, body: Body, envelopeBytes = envelope.length): Packet {
  const header = Buffer.allocUnsafe(prefixBytes + envelopeBytes + body.bytes.length);
  setU32(header, 0, magic);
  setU32(header, 4, body.frames.length);
  setU32(header, 8, envelopeBytes);
  setU32(header, 12, body.bytes.length);
  // a few dozen bytes, for which a view to set from costs more than they do
  for (let i = 0; i < envelopeBytes; i++) header[prefixBytes + i] = envelope[i]!;
  header.set(body.bytes, prefixBytes + envelopeBytes);
  return { header, frames: body.frames };
}

/** The parts of a packet whose lengths add up, or WIRE_INVALID. */
export function split({ header, frames }: Packet): E.Either<CxmindError, Parts> {
  if (header.length < prefixBytes) return invalid(`a header of ${header.length} bytes`);
  if (u32At(header, 0) !== magic) return invalid('a header without the magic CXM1');
  const frameCount = u32At(header, 4);
  const envelopeBytes = u32At(header, 8);
  const bodyBytes = u32At(header, 12);
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

/** Four bytes as a little-endian number, without a view for it. */
export function u32At(bytes: Uint8Array, at: number): number {
  const low = bytes[at]! | (bytes[at + 1]! << 8);
  return low + (bytes[at + 2]! | (bytes[at + 3]! << 8)) * 0x10000;
}

/** Writes a number below 2^32 as four bytes, little-endian. */
export function setU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function invalid(what: string): E.Either<CxmindError, never> {
  return E.left(new CxmindError('WIRE_INVALID', `packet: ${what}`));
}
