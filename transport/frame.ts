/**
 * Layout of a packet's header, little-endian. Over ZeroMQ the header is the first frame and each tensor's bytes are a
 * frame behind it. Within a process the same header travels beside views of shared memory.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXM1': the format and its version
 *   4       4      u32 number of the packet's frames
 *   8       4      u32 length e of the envelope
 *   12      4      u32 length b of the body
 *   16      e      envelope: sender, receiver, kind of message; a router reads nothing else
 *   16+e    b      body, msgpack: the message, and for tensors their dtypes and shapes
 */
import { ByteReader, ByteWriter, setU32 } from './bytes.ts';
import type { Packet } from './channel.ts';

const magic = 0x314d5843;
const prefixBytes = 16;
/** Longest envelope: it holds a few names and numbers. */
export const maxEnvelopeBytes = 1 << 16;
/** Longest body: it holds text and numbers, and large payloads are tensors. */
export const maxBodyBytes = 1 << 28;
/** Most frames of a packet. */
export const maxFrames = 1 << 16;

/** A message with its tensors apart, before an envelope says where it goes. */
export interface Body {
  readonly bytes: Uint8Array;
  readonly frames: readonly Uint8Array[];
}

/** The two parts of a packet, as views of it. */
export interface Parts {
  readonly envelope: Uint8Array;
  readonly body: Body;
}

/** Writer of packets, one after the other. The envelope is written first, then `end` makes a packet of it and a body. */
export class PacketWriter extends ByteWriter {
  /** Makes the packet. The body's frames are not copied. */
  end({ bytes, frames }: Body): Packet {
    const envelopeBytes = this.at;
    const header = Buffer.allocUnsafe(prefixBytes + envelopeBytes + bytes.length);
    setU32(header, 0, magic);
    setU32(header, 4, frames.length);
    setU32(header, 8, envelopeBytes);
    setU32(header, 12, bytes.length);
    this.copyTo(header, prefixBytes);
    header.set(bytes, prefixBytes + envelopeBytes);
    return { header, frames };
  }
}

/** Makes a packet of an envelope and a body. The body's frames are not copied. */
export function join(envelope: Uint8Array, body: Body): Packet {
  const writer = new PacketWriter(envelope.length);
  writer.put(envelope);
  return writer.end(body);
}

/**
 * Splits a packet into its parts.
 *
 * @throws WIRE_INVALID when the lengths in the header do not add up
 */
export function split({ header, frames }: Packet): Parts {
  const reader = new ByteReader(header, 'packet');
  if (reader.u32() !== magic) reader.fail('without the magic CXM1');
  const frameCount = reader.u32();
  const envelopeBytes = reader.u32();
  const bodyBytes = reader.u32();
  if (frameCount !== frames.length || frameCount > maxFrames) {
    reader.fail(`that announces ${frameCount} frames and has ${frames.length}`);
  }
  if (envelopeBytes > maxEnvelopeBytes) reader.fail(`with an envelope of ${envelopeBytes} bytes`);
  if (bodyBytes > maxBodyBytes) reader.fail(`with a body of ${bodyBytes} bytes`);
  const envelope = reader.view(envelopeBytes);
  const body = { bytes: reader.view(bodyBytes), frames };
  reader.end();
  return { envelope, body };
}
