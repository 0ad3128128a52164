import type { Packet } from '../channel.ts';

/*
 * A control message is one ZeroMQ frame, little-endian.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXC1': the format and its version
 *   4       4      u32 kind of the message
 *   8       8      u64 number of this batch; of the next batch where the message is none
 *   16      8      u64 number of the next batch expected from the reader: all below came
 *   24      8      u64 the same for chunks of bulk
 *   32      4      u32 1 when batches are missing, plus 2 when chunks are: send again from the numbers above
 *   36      4      u32 length of the payload
 *   40             payload
 *
 * The payload of a hello or a welcome: u64 credit of a channel, u32 interval of heartbeats and u32 silence that
 * ends the link, in ms, and a name in UTF-8. Of an end: u32 reason. Of a beat: nothing.
 *
 * The payload of a batch is its records, each with a head of 12 bytes: u32 length of the record, u32 kind,
 * u32 channel. Credit goes on with u64 its limit. A packet goes on with u32 length of its header, u32 number of
 * frames, u64 length of each frame, and then the bytes of those parts that go inline.
 */
export const magic = 0x31435843;
export const prefixBytes = 40;
export const recordBytes = 12;
export const kinds = { hello: 1, welcome: 2, beat: 3, batch: 4, end: 5 } as const;
export const recordKinds = { open: 1, close: 2, credit: 3, packet: 4, bye: 5 } as const;

/** Parts of a packet go inline while they fill no more than this; the others go as bulk. */
const inlineBytes = 1 << 15;
/** A batch takes no further record once it is this long. */
export const batchBytes = 1 << 16;
/** Longest control message: a full batch and a packet of the most frames. */
export const maxControlBytes = 1 << 20;
export const maxNameBytes = 256;

/** Why an end gives up a link, as the other end is told. */
export const endReasons = { closed: 0, lost: 1, garbage: 2 } as const;
export type EndReason = keyof typeof endReasons;

/** What every control message says about both directions. */
export interface Progress {
  readonly sequence: number;
  readonly acked: number;
  readonly bulkAcked: number;
  readonly isMissingBatches: boolean;
  readonly isMissingChunks: boolean;
}

/** What an end tells the other about itself when they meet. */
export interface Terms {
  readonly name: string;
  /** Bulk bytes it takes per channel beyond those that its receivers took. */
  readonly creditBytes: number;
  readonly intervalMs: number;
  readonly deadAfterMs: number;
}

/** What an end puts into a batch. */
export type OutRecord =
  | { readonly kind: 'open' | 'close' | 'bye'; readonly channel: number }
  | { readonly kind: 'credit'; readonly channel: number; readonly limit: number }
  | { readonly kind: 'packet'; readonly channel: number; readonly packet: Packet };

/** A part of a packet as it came: its bytes, a view of the message, or how many of them come as bulk. */
export type InPart = Uint8Array | number;

/** A packet as it came. */
export interface PacketRecord {
  readonly kind: 'packet';
  readonly channel: number;
  readonly header: InPart;
  readonly frames: readonly InPart[];
}

/** What the other end finds in a batch. */
export type InRecord = Exclude<OutRecord, { kind: 'packet' }> | PacketRecord;

export type ControlMessage = { readonly progress: Progress } & (
  | { readonly kind: 'hello' | 'welcome'; readonly terms: Terms }
  | { readonly kind: 'beat' }
  | { readonly kind: 'batch'; readonly records: readonly InRecord[] }
  | { readonly kind: 'end'; readonly reason: EndReason }
);

/** Progress before anything was sent. */
export const atStart: Progress = {
  sequence: 0,
  acked: 0,
  bulkAcked: 0,
  isMissingBatches: false,
  isMissingChunks: false,
};

/**
 * Inline bytes of a packet after one more part, by the rule that both ends follow for each part in turn, the
 * header first: the same number as before when the part goes as bulk.
 */
export function inlineAfter(inline: number, partBytes: number): number {
  return inline + partBytes > inlineBytes ? inline : inline + partBytes;
}

/** Whether a part goes inline behind so many inline bytes. */
export function isInline(inline: number, partBytes: number): boolean {
  return inline + partBytes <= inlineBytes;
}

/** The parts of a packet that go as bulk, in order. */
export function bulkPartsOf({ header, frames }: Packet): readonly Uint8Array[] {
  if (frames.length === 0 && header.length <= inlineBytes) return frames;
  let inline = 0;
  return [header, ...frames].filter(({ byteLength }) => {
    const before = inline;
    inline = inlineAfter(inline, byteLength);
    return !isInline(before, byteLength);
  });
}
