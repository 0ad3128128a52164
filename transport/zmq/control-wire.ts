import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import type { Packet } from '../channel.ts';
import { maxBodyBytes, maxEnvelopeBytes, maxFrames } from '../frame.ts';

/*
 * A control message is one ZeroMQ frame, little-endian.
 *
 *   offset  bytes  what
 *   0       4      magic 'CXC1': the format and its version
 *   4       4      u32 kind of the message
 *   8       8      f64 number of this batch; of the next batch where the message is none
 *   16      8      f64 number of the next batch expected from the reader: all below came
 *   24      8      f64 the same for chunks of bulk
 *   32      4      u32 1 when batches are missing, plus 2 when chunks are: send again from the numbers above
 *   36      4      u32 length of the payload
 *   40             payload
 *
 * The payload of a batch is its records, each with a head of 12 bytes: u32 length of the record, u32 kind,
 * u32 channel. A packet goes on with u32 length of its header, u32 number of frames, f64 length of each frame,
 * and then the bytes of those parts that go inline.
 */
const magic = 0x31435843;
const prefixBytes = 40;
const recordBytes = 12;
const kinds = { hello: 1, welcome: 2, beat: 3, batch: 4, end: 5 } as const;
const recordKinds = { open: 1, close: 2, credit: 3, packet: 4, bye: 5 } as const;

/** Parts of a packet go inline while they fill no more than this; the others go as bulk. */
const inlineBytes = 1 << 15;
/** A batch takes no further record once it is this long. */
export const batchBytes = 1 << 16;
/** Longest control message: a full batch and a packet of the most frames. */
export const maxControlBytes = 1 << 20;
const maxNameBytes = 256;
const maxHeaderBytes = 16 + maxEnvelopeBytes + maxBodyBytes;
/** What a u32 number of milliseconds may be: up to an hour. */
const maxMs = 3_600_000;

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

/** What the other end finds in it. */
export type InRecord =
  | { readonly kind: 'open' | 'close' | 'bye'; readonly channel: number }
  | { readonly kind: 'credit'; readonly channel: number; readonly limit: number }
  | {
      readonly kind: 'packet';
      readonly channel: number;
      readonly header: InPart;
      readonly frames: readonly InPart[];
    };

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

/** @param name cut to 256 bytes of UTF-8 */
export function encodeTerms(kind: 'hello' | 'welcome', terms: Terms): Buffer {
  const name = Buffer.from(terms.name).subarray(0, maxNameBytes);
  const [message, view] = start(kind, atStart, 16 + name.length);
  view.setFloat64(prefixBytes, terms.creditBytes, true);
  view.setUint32(prefixBytes + 8, terms.intervalMs, true);
  view.setUint32(prefixBytes + 12, terms.deadAfterMs, true);
  message.set(name, prefixBytes + 16);
  return message;
}

export function encodeBeat(progress: Progress): Buffer {
  return start('beat', progress, 0)[0];
}

export function encodeEnd(progress: Progress, reason: EndReason): Buffer {
  const [message, view] = start('end', progress, 4);
  view.setUint32(prefixBytes, endReasons[reason], true);
  return message;
}

export function encodeBatch(progress: Progress, records: readonly OutRecord[]): Buffer {
  let payloadBytes = 0;
  for (const record of records) payloadBytes += sizeOfRecord(record);
  const [message, view] = start('batch', progress, payloadBytes);
  let at = prefixBytes;
  for (const record of records) at = writeRecord(message, view, at, record);
  return message;
}

/** Bytes that a record takes in a batch. */
export function sizeOfRecord(record: OutRecord): number {
  if (record.kind === 'credit') return recordBytes + 8;
  if (record.kind !== 'packet') return recordBytes;
  const { header, frames } = record.packet;
  const split = new InlineSplit();
  split.isInline(header.length);
  for (const frame of frames) split.isInline(frame.byteLength);
  return recordBytes + 8 + 8 * frames.length + split.inlineBytes;
}

/** The parts of a packet that go as bulk, in order: its header, where it is long, and long or many frames. */
export function bulkPartsOf({ header, frames }: Packet): readonly Uint8Array[] {
  if (frames.length === 0 && header.length <= inlineBytes) return frames;
  const split = new InlineSplit();
  return [header, ...frames].filter((part) => !split.isInline(part.byteLength));
}

/** Decides part by part, at both ends alike, which parts go inline. */
class InlineSplit {
  inlineBytes = 0;

  isInline(sizeBytes: number): boolean {
    if (this.inlineBytes + sizeBytes > inlineBytes) return false;
    this.inlineBytes += sizeBytes;
    return true;
  }
}

function start(kind: keyof typeof kinds, progress: Progress, payload: number): [Buffer, DataView] {
  const message = Buffer.allocUnsafe(prefixBytes + payload);
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  view.setUint32(0, magic, true);
  view.setUint32(4, kinds[kind], true);
  view.setFloat64(8, progress.sequence, true);
  view.setFloat64(16, progress.acked, true);
  view.setFloat64(24, progress.bulkAcked, true);
  const missing = (progress.isMissingBatches ? 1 : 0) + (progress.isMissingChunks ? 2 : 0);
  view.setUint32(32, missing, true);
  view.setUint32(36, payload, true);
  return [message, view];
}

function writeRecord(message: Buffer, view: DataView, at: number, record: OutRecord): number {
  view.setUint32(at + 4, recordKinds[record.kind], true);
  view.setUint32(at + 8, record.channel, true);
  let end = at + recordBytes;
  if (record.kind === 'credit') {
    view.setFloat64(end, record.limit, true);
    end += 8;
  } else if (record.kind === 'packet') {
    end = writePacket(message, view, end, record.packet);
  }
  view.setUint32(at, end - at, true);
  return end;
}

function writePacket(message: Buffer, view: DataView, at: number, packet: Packet): number {
  const { header, frames } = packet;
  view.setUint32(at, header.length, true);
  view.setUint32(at + 4, frames.length, true);
  frames.forEach((frame, i) => view.setFloat64(at + 8 + 8 * i, frame.byteLength, true));
  const split = new InlineSplit();
  let end = at + 8 + 8 * frames.length;
  const write = (part: Uint8Array): void => {
    if (!split.isInline(part.byteLength)) return;
    message.set(part, end);
    end += part.byteLength;
  };
  write(header);
  frames.forEach(write);
  return end;
}

/** A control message whose lengths and numbers add up, or WIRE_INVALID; byte parts are views of it. */
export function decodeControl(message: Uint8Array): E.Either<CxmindError, ControlMessage> {
  try {
    return E.right(read(message));
  } catch (thrown) {
    if (thrown instanceof CxmindError) return E.left(thrown);
    throw thrown;
  }
}

function read(message: Uint8Array): ControlMessage {
  if (message.length < prefixBytes) fail(`${message.length} bytes`);
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (view.getUint32(0, true) !== magic) fail('no magic CXC1');
  const payloadBytes = view.getUint32(36, true);
  if (prefixBytes + payloadBytes !== message.length) {
    fail(`a payload of ${payloadBytes} bytes in ${message.length}`);
  }
  const missing = view.getUint32(32, true);
  if (missing > 3) fail(`flags ${missing}`);
  const progress = {
    sequence: countAt(view, 8),
    acked: countAt(view, 16),
    bulkAcked: countAt(view, 24),
    isMissingBatches: (missing & 1) !== 0,
    isMissingChunks: (missing & 2) !== 0,
  };
  const kind = view.getUint32(4, true);
  switch (kind) {
    case kinds.hello:
      return { kind: 'hello', progress, terms: readTerms(message, view) };
    case kinds.welcome:
      return { kind: 'welcome', progress, terms: readTerms(message, view) };
    case kinds.beat:
      if (payloadBytes !== 0) fail('a beat with a payload');
      return { kind: 'beat', progress };
    case kinds.batch:
      return { kind: 'batch', progress, records: readRecords(message, view) };
    case kinds.end:
      return { kind: 'end', progress, reason: readReason(view, payloadBytes) };
  }
  return fail(`a message of kind ${kind}`);
}

function readTerms(message: Uint8Array, view: DataView): Terms {
  const nameBytes = message.length - prefixBytes - 16;
  if (nameBytes < 0 || nameBytes > maxNameBytes) fail(`a name of ${nameBytes} bytes`);
  const intervalMs = view.getUint32(prefixBytes + 8, true);
  const deadAfterMs = view.getUint32(prefixBytes + 12, true);
  if (intervalMs < 1 || intervalMs > maxMs || deadAfterMs > maxMs || deadAfterMs < intervalMs) {
    fail(`heartbeats each ${intervalMs} ms, dead after ${deadAfterMs} ms`);
  }
  const name = Buffer.from(message.subarray(prefixBytes + 16)).toString();
  return { name, creditBytes: countAt(view, prefixBytes), intervalMs, deadAfterMs };
}

function readReason(view: DataView, payloadBytes: number): EndReason {
  if (payloadBytes !== 4) fail(`an end of ${payloadBytes} bytes`);
  switch (view.getUint32(prefixBytes, true)) {
    case endReasons.closed:
      return 'closed';
    case endReasons.lost:
      return 'lost';
    case endReasons.garbage:
      return 'garbage';
  }
  return fail('an end for no reason');
}

function readRecords(message: Uint8Array, view: DataView): InRecord[] {
  const records: InRecord[] = [];
  for (let at = prefixBytes; at < message.length;) {
    if (at + recordBytes > message.length) fail('a record that ends early');
    const end = at + view.getUint32(at, true);
    if (end > message.length || end < at + recordBytes) fail(`a record from ${at} to ${end}`);
    records.push(readRecord(message, view, at, end));
    at = end;
  }
  return records;
}

function readRecord(message: Uint8Array, view: DataView, at: number, end: number): InRecord {
  const kind = view.getUint32(at + 4, true);
  const channel = view.getUint32(at + 8, true);
  const body = at + recordBytes;
  const expect = (sizeBytes: number): void => {
    if (end - body !== sizeBytes) fail(`a record of kind ${kind} of ${end - body} bytes`);
  };
  switch (kind) {
    case recordKinds.open:
      expect(0);
      return { kind: 'open', channel };
    case recordKinds.close:
      expect(0);
      return { kind: 'close', channel };
    case recordKinds.bye:
      expect(0);
      return { kind: 'bye', channel };
    case recordKinds.credit:
      expect(8);
      return { kind: 'credit', channel, limit: countAt(view, body) };
    case recordKinds.packet:
      return readPacket(message, view, channel, body, end);
  }
  return fail(`a record of kind ${kind}`);
}

function readPacket(
  message: Uint8Array,
  view: DataView,
  channel: number,
  at: number,
  end: number,
): InRecord {
  if (at + 8 > end) fail('a packet that ends early');
  const headerBytes = view.getUint32(at, true);
  const frameCount = view.getUint32(at + 4, true);
  if (headerBytes > maxHeaderBytes) fail(`a packet's header of ${headerBytes} bytes`);
  let next = at + 8 + 8 * frameCount;
  if (frameCount > maxFrames || next > end) fail(`${frameCount} frames in ${end - at} bytes`);
  const split = new InlineSplit();
  const part = (sizeBytes: number): InPart => {
    if (!split.isInline(sizeBytes)) return sizeBytes;
    if (next + sizeBytes > end) fail('a packet that ends early');
    const bytes = message.subarray(next, next + sizeBytes);
    next += sizeBytes;
    return bytes;
  };
  const header = part(headerBytes);
  const frames: InPart[] = [];
  for (let i = 0; i < frameCount; i++) frames.push(part(countAt(view, at + 8 + 8 * i)));
  if (next !== end) fail(`${end - next} bytes after a packet`);
  return { kind: 'packet', channel, header, frames };
}

/** A number of things or bytes: an integer that a float64 holds exactly. */
function countAt(view: DataView, at: number): number {
  const value = view.getFloat64(at, true);
  if (!Number.isSafeInteger(value) || value < 0) fail(`${value} of something`);
  return value;
}

function fail(what: string): never {
  throw new CxmindError('WIRE_INVALID', `control message: ${what}`);
}
