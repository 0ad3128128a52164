/**
 * A control message is one ZeroMQ frame, little-endian.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXC2': the format and its version
 *   4       4      u32 kind of the message, by `kinds`
 *   8       8      u64 number of this batch; of the next batch in a message of another kind
 *   16      8      u64 number of the next batch that the sender expects: it has all below
 *   24      8      u64 the same for chunks of bulk
 *   32      4      u32 1 to ask for batches again, from that number, plus 2 to ask for chunks
 *   36      4      u32 length of the payload
 *   40             payload
 *
 * Payloads:
 *
 *   hello, welcome  u64 credit of a channel, u32 interval of heartbeats in ms, u32 silence in ms that ends the link,
 *                   and the name: u32 length and UTF-8
 *   beat            nothing
 *   batch           records, each a u32 kind by `recordKinds`, a u32 channel, and
 *                     credit   u64 limit
 *                     packet   u32 length of the header, u32 number of frames, and the header if it goes inline; for
 *                              each frame a u64 length, and the frame if it goes inline
 *   end             u32 reason, by `endReasons`
 */
import { ByteReader, ByteWriter } from '../bytes.ts';
import type { Packet } from '../channel.ts';
import { maxBodyBytes, maxEnvelopeBytes, maxFrames } from '../frame.ts';

const magic = 0x32435843;
const prefixBytes = 40;
const kinds = { hello: 1, welcome: 2, beat: 3, batch: 4, end: 5 } as const;
const recordKinds = { open: 1, close: 2, credit: 3, packet: 4, bye: 5 } as const;
const endReasons = ['closed', 'lost', 'garbage'] as const;

/** Longest sum of a packet's parts that go inline. */
const inlineBytes = 1 << 15;
/** Size from which a batch takes no further record. */
export const batchBytes = 1 << 16;
/** Longest control message: a full batch and a packet with the most frames. */
export const maxControlBytes = 1 << 20;
/** Longest header of a packet. */
export const maxHeaderBytes = 16 + maxEnvelopeBytes + maxBodyBytes;
const maxNameBytes = 256;
/** Longest interval and silence: an hour. */
const maxMs = 3_600_000;

/** Reason for which an end gives up a link. */
export type EndReason = (typeof endReasons)[number];

/** State of both directions, which every control message carries. */
export interface Progress {
  readonly sequence: number;
  readonly acked: number;
  readonly bulkAcked: number;
  readonly isMissingBatches: boolean;
  readonly isMissingChunks: boolean;
}

/** An end's description of itself for the other. */
export interface Terms {
  readonly name: string;
  /** Bulk bytes that it takes for each channel beyond those that receivers took. */
  readonly creditBytes: number;
  readonly intervalMs: number;
  readonly deadAfterMs: number;
}

/** A record that is written into a batch. */
export type OutRecord =
  | { readonly kind: 'open' | 'close' | 'bye'; readonly channel: number }
  | { readonly kind: 'credit'; readonly channel: number; readonly limit: number }
  | { readonly kind: 'packet'; readonly channel: number; readonly packet: Packet };

/** A part of a packet that came: a view of the message, or the number of its bytes, which come as bulk. */
export type InPart = Uint8Array | number;

/** A packet that came. */
export interface PacketRecord {
  readonly kind: 'packet';
  readonly channel: number;
  readonly header: InPart;
  readonly frames: readonly InPart[];
}

/** A record that is read from a batch. */
export type InRecord = Exclude<OutRecord, { kind: 'packet' }> | PacketRecord;

/** A control message that was read. */
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
 * Room for the parts of one packet that go inline.
 *
 * Both ends ask for each part in turn, the header first, and so agree on which go inline. The others go as bulk.
 */
class InlineRoom {
  #left = inlineBytes;

  /** True when a part goes inline. */
  takes(partBytes: number): boolean {
    if (partBytes > this.#left) return false;
    this.#left -= partBytes;
    return true;
  }
}

/** The parts of a packet that go as bulk, in order. */
export function bulkPartsOf({ header, frames }: Packet): readonly Uint8Array[] {
  if (frames.length === 0 && header.length <= inlineBytes) return frames;
  const room = new InlineRoom();
  return [header, ...frames].filter(({ byteLength }) => !room.takes(byteLength));
}

/** Encodes the terms of an end, as a hello or a welcome. The name is cut to 256 bytes of UTF-8. */
export function encodeTerms(kind: 'hello' | 'welcome', terms: Terms): Buffer {
  const name = Buffer.from(terms.name).subarray(0, maxNameBytes);
  const writer = start(kind, atStart, 20 + name.length);
  writer.u53(terms.creditBytes);
  writer.u32(terms.intervalMs);
  writer.u32(terms.deadAfterMs);
  writer.u32(name.length);
  writer.put(name);
  return writer.written;
}

/** Encodes a heartbeat, which carries the progress alone. */
export function encodeBeat(progress: Progress): Buffer {
  return start('beat', progress, 0).written;
}

/** Encodes the end of a link, with its reason for the peer. */
export function encodeEnd(progress: Progress, reason: EndReason): Buffer {
  const writer = start('end', progress, 4);
  writer.u32(endReasons.indexOf(reason));
  return writer.written;
}

/** Encodes a batch of records. */
export function encodeBatch(progress: Progress, records: readonly OutRecord[]): Buffer {
  let payloadBytes = 0;
  for (const record of records) payloadBytes += sizeOfRecord(record);
  const writer = start('batch', progress, payloadBytes);
  for (const record of records) writeRecord(writer, record);
  return writer.written;
}

/** Bytes that a record takes in a batch. */
export function sizeOfRecord(record: OutRecord): number {
  if (record.kind === 'credit') return 16;
  if (record.kind !== 'packet') return 8;
  const { header, frames } = record.packet;
  const room = new InlineRoom();
  let sizeBytes = 16 + (room.takes(header.length) ? header.length : 0);
  for (const { byteLength } of frames) sizeBytes += 8 + (room.takes(byteLength) ? byteLength : 0);
  return sizeBytes;
}

function start(kind: keyof typeof kinds, progress: Progress, payloadBytes: number): ByteWriter {
  const writer = new ByteWriter(prefixBytes + payloadBytes);
  writer.u32(magic);
  writer.u32(kinds[kind]);
  writer.u53(progress.sequence);
  writer.u53(progress.acked);
  writer.u53(progress.bulkAcked);
  writer.u32((progress.isMissingBatches ? 1 : 0) + (progress.isMissingChunks ? 2 : 0));
  writer.u32(payloadBytes);
  return writer;
}

function writeRecord(writer: ByteWriter, record: OutRecord): void {
  writer.u32(recordKinds[record.kind]);
  writer.u32(record.channel);
  if (record.kind === 'credit') writer.u53(record.limit);
  if (record.kind !== 'packet') return;
  const { header, frames } = record.packet;
  const room = new InlineRoom();
  writer.u32(header.length);
  writer.u32(frames.length);
  if (room.takes(header.length)) writer.put(header);
  for (const frame of frames) {
    writer.u53(frame.byteLength);
    if (room.takes(frame.byteLength)) writer.put(frame);
  }
}

/**
 * Reads a control message. Its byte parts are views of the message.
 *
 * @throws WIRE_INVALID when lengths and numbers do not add up
 */
export function decodeControl(message: Uint8Array): ControlMessage {
  const reader = new ByteReader(message, 'control message');
  if (reader.u32() !== magic) reader.fail('without the magic CXC2');
  const kind = reader.u32();
  const progress = readProgress(reader);
  const payloadBytes = reader.u32();
  if (payloadBytes !== reader.left) {
    reader.fail(`that announces ${payloadBytes} bytes and has ${reader.left}`);
  }
  const decoded = readPayload(reader, kind, progress);
  reader.end();
  return decoded;
}

function readPayload(reader: ByteReader, kind: number, progress: Progress): ControlMessage {
  switch (kind) {
    case kinds.hello:
      return { kind: 'hello', progress, terms: readTerms(reader) };
    case kinds.welcome:
      return { kind: 'welcome', progress, terms: readTerms(reader) };
    case kinds.beat:
      return { kind: 'beat', progress };
    case kinds.batch:
      return { kind: 'batch', progress, records: readRecords(reader) };
    case kinds.end:
      return { kind: 'end', progress, reason: readReason(reader) };
  }
  return reader.fail(`of kind ${kind}`);
}

function readProgress(reader: ByteReader): Progress {
  const sequence = reader.u53();
  const acked = reader.u53();
  const bulkAcked = reader.u53();
  const missing = reader.u32();
  if (missing > 3) reader.fail(`with flags ${missing}`);
  const isMissingBatches = (missing & 1) !== 0;
  return { sequence, acked, bulkAcked, isMissingBatches, isMissingChunks: missing >= 2 };
}

function readTerms(reader: ByteReader): Terms {
  const creditBytes = reader.u53();
  const [intervalMs, deadAfterMs] = [reader.u32(), reader.u32()];
  if (intervalMs < 1 || deadAfterMs < intervalMs || deadAfterMs > maxMs) {
    reader.fail(`with heartbeats each ${intervalMs} ms, dead after ${deadAfterMs} ms`);
  }
  if (reader.left > 4 + maxNameBytes) reader.fail('with a name that is too long');
  return { name: reader.text(), creditBytes, intervalMs, deadAfterMs };
}

function readReason(reader: ByteReader): EndReason {
  const number = reader.u32();
  return endReasons[number] ?? reader.fail(`that ends for reason ${number}`);
}

function readRecords(reader: ByteReader): InRecord[] {
  const records: InRecord[] = [];
  while (reader.left > 0) records.push(readRecord(reader));
  return records;
}

function readRecord(reader: ByteReader): InRecord {
  const kind = reader.u32();
  const channel = reader.u32();
  switch (kind) {
    case recordKinds.packet:
      return readPacket(reader, channel);
    case recordKinds.credit:
      return { kind: 'credit', channel, limit: reader.u53() };
    case recordKinds.open:
      return { kind: 'open', channel };
    case recordKinds.close:
      return { kind: 'close', channel };
    case recordKinds.bye:
      return { kind: 'bye', channel };
  }
  return reader.fail(`with a record of kind ${kind}`);
}

function readPacket(reader: ByteReader, channel: number): PacketRecord {
  const headerBytes = reader.u32();
  const frameCount = reader.u32();
  if (headerBytes > maxHeaderBytes) reader.fail(`with a header of ${headerBytes} bytes`);
  if (frameCount > maxFrames) reader.fail(`with a packet of ${frameCount} frames`);
  const room = new InlineRoom();
  const header = readPart(reader, room, headerBytes);
  const frames: InPart[] = [];
  while (frames.length < frameCount) frames.push(readPart(reader, room, reader.u53()));
  return { kind: 'packet', channel, header, frames };
}

function readPart(reader: ByteReader, room: InlineRoom, sizeBytes: number): InPart {
  if (!room.takes(sizeBytes)) return sizeBytes;
  const { buffer, byteOffset } = reader.bytes;
  return new Uint8Array(buffer, byteOffset + reader.skip(sizeBytes), sizeBytes);
}
