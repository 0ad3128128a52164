import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import { maxBodyBytes, maxEnvelopeBytes, maxFrames } from '../frame.ts';
import {
  endReasons,
  inlineAfter,
  isInline,
  kinds,
  magic,
  maxNameBytes,
  prefixBytes,
  recordBytes,
  recordKinds,
  type ControlMessage,
  type EndReason,
  type InPart,
  type InRecord,
  type PacketRecord,
  type Progress,
  type Terms,
} from './control-wire.ts';
import { countAt, u32At } from './little-endian.ts';

/** What the header of a packet may hold at most. */
export const maxHeaderBytes = 16 + maxEnvelopeBytes + maxBodyBytes;
/** Times are up to an hour. */
const maxMs = 3_600_000;

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
  if (u32At(message, 0) !== magic) fail('no magic CXC1');
  const payloadBytes = u32At(message, 36);
  if (prefixBytes + payloadBytes !== message.length) {
    fail(`a payload of ${payloadBytes} bytes in ${message.length}`);
  }
  const progress = readProgress(message);
  const kind = u32At(message, 4);
  switch (kind) {
    case kinds.hello:
      return { kind: 'hello', progress, terms: readTerms(message) };
    case kinds.welcome:
      return { kind: 'welcome', progress, terms: readTerms(message) };
    case kinds.beat:
      if (payloadBytes !== 0) fail('a beat with a payload');
      return { kind: 'beat', progress };
    case kinds.batch:
      return { kind: 'batch', progress, records: readRecords(message) };
    case kinds.end:
      return { kind: 'end', progress, reason: readReason(message, payloadBytes) };
  }
  return fail(`a message of kind ${kind}`);
}

function readProgress(message: Uint8Array): Progress {
  const missing = u32At(message, 32);
  if (missing > 3) fail(`flags ${missing}`);
  return {
    sequence: safeCountAt(message, 8),
    acked: safeCountAt(message, 16),
    bulkAcked: safeCountAt(message, 24),
    isMissingBatches: (missing & 1) !== 0,
    isMissingChunks: (missing & 2) !== 0,
  };
}

function readTerms(message: Uint8Array): Terms {
  const nameBytes = message.length - prefixBytes - 16;
  if (nameBytes < 0 || nameBytes > maxNameBytes) fail(`a name of ${nameBytes} bytes`);
  const creditBytes = safeCountAt(message, prefixBytes);
  const intervalMs = u32At(message, prefixBytes + 8);
  const deadAfterMs = u32At(message, prefixBytes + 12);
  if (intervalMs < 1 || intervalMs > maxMs || deadAfterMs > maxMs || deadAfterMs < intervalMs) {
    fail(`heartbeats each ${intervalMs} ms, dead after ${deadAfterMs} ms`);
  }
  const name = Buffer.from(message.subarray(prefixBytes + 16)).toString();
  return { name, creditBytes, intervalMs, deadAfterMs };
}

function readReason(message: Uint8Array, payloadBytes: number): EndReason {
  if (payloadBytes !== 4) fail(`an end of ${payloadBytes} bytes`);
  switch (u32At(message, prefixBytes)) {
    case endReasons.closed:
      return 'closed';
    case endReasons.lost:
      return 'lost';
    case endReasons.garbage:
      return 'garbage';
  }
  return fail('an end for no reason');
}

function readRecords(message: Uint8Array): InRecord[] {
  const records: InRecord[] = [];
  for (let at = prefixBytes; at < message.length;) {
    if (at + recordBytes > message.length) fail('a record that ends early');
    const end = at + u32At(message, at);
    if (end > message.length || end < at + recordBytes) fail(`a record from ${at} to ${end}`);
    records.push(readRecord(message, at, end));
    at = end;
  }
  return records;
}

function readRecord(message: Uint8Array, at: number, end: number): InRecord {
  const kind = u32At(message, at + 4);
  const channel = u32At(message, at + 8);
  const body = at + recordBytes;
  if (kind === recordKinds.packet) return readPacket(message, channel, body, end);
  const expected = kind === recordKinds.credit ? 8 : 0;
  if (end - body !== expected) fail(`a record of kind ${kind} of ${end - body} bytes`);
  switch (kind) {
    case recordKinds.open:
      return { kind: 'open', channel };
    case recordKinds.close:
      return { kind: 'close', channel };
    case recordKinds.bye:
      return { kind: 'bye', channel };
    case recordKinds.credit:
      return { kind: 'credit', channel, limit: safeCountAt(message, body) };
  }
  return fail(`a record of kind ${kind}`);
}

function readPacket(message: Uint8Array, channel: number, at: number, end: number): PacketRecord {
  if (at + 8 > end) fail('a packet that ends early');
  const headerBytes = u32At(message, at);
  const frameCount = u32At(message, at + 4);
  if (headerBytes > maxHeaderBytes) fail(`a packet's header of ${headerBytes} bytes`);
  const start = at + 8 + 8 * frameCount;
  if (frameCount > maxFrames || start > end) fail(`${frameCount} frames in ${end - at} bytes`);
  const header = readPart(message, start, 0, headerBytes, end);
  let inline = inlineAfter(0, headerBytes);
  const frames: InPart[] = [];
  for (let i = 0; i < frameCount; i++) {
    const sizeBytes = safeCountAt(message, at + 8 + 8 * i);
    frames.push(readPart(message, start, inline, sizeBytes, end));
    inline = inlineAfter(inline, sizeBytes);
  }
  if (start + inline !== end) fail(`${end - start - inline} bytes after a packet`);
  return { kind: 'packet', channel, header, frames };
}

/** A part as a view of the message, where it is one of those that go inline. */
function readPart(
  message: Uint8Array,
  start: number,
  inline: number,
  sizeBytes: number,
  end: number,
): InPart {
  if (!isInline(inline, sizeBytes)) return sizeBytes;
  const from = start + inline;
  if (from + sizeBytes > end) fail('a packet that ends early');
  return new Uint8Array(message.buffer, message.byteOffset + from, sizeBytes);
}

/** A number of things or bytes that a float64 holds exactly. */
function safeCountAt(message: Uint8Array, at: number): number {
  const value = countAt(message, at);
  if (value > Number.MAX_SAFE_INTEGER) fail(`${value} of something`);
  return value;
}

function fail(what: string): never {
  throw new CxmindError('WIRE_INVALID', `control message: ${what}`);
}
