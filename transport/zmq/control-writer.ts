import type { Packet } from '../channel.ts';
import {
  atStart,
  endReasons,
  inlineAfter,
  isInline,
  kinds,
  magic,
  maxNameBytes,
  prefixBytes,
  recordBytes,
  recordKinds,
  type EndReason,
  type OutRecord,
  type Progress,
  type Terms,
} from './control-wire.ts';
import { putCount, putU32 } from './little-endian.ts';

/** @param terms its name is cut to 256 bytes of UTF-8 */
export function encodeTerms(kind: 'hello' | 'welcome', terms: Terms): Buffer {
  const name = Buffer.from(terms.name).subarray(0, maxNameBytes);
  const message = start(kind, atStart, 16 + name.length);
  putCount(message, prefixBytes, terms.creditBytes);
  putU32(message, prefixBytes + 8, terms.intervalMs);
  putU32(message, prefixBytes + 12, terms.deadAfterMs);
  message.set(name, prefixBytes + 16);
  return message;
}

export function encodeBeat(progress: Progress): Buffer {
  return start('beat', progress, 0);
}

export function encodeEnd(progress: Progress, reason: EndReason): Buffer {
  const message = start('end', progress, 4);
  putU32(message, prefixBytes, endReasons[reason]);
  return message;
}

export function encodeBatch(progress: Progress, records: readonly OutRecord[]): Buffer {
  let payloadBytes = 0;
  for (const record of records) payloadBytes += sizeOfRecord(record);
  const message = start('batch', progress, payloadBytes);
  let at = prefixBytes;
  for (const record of records) at = writeRecord(message, at, record);
  return message;
}

/** Bytes that a record takes in a batch. */
export function sizeOfRecord(record: OutRecord): number {
  if (record.kind === 'credit') return recordBytes + 8;
  if (record.kind !== 'packet') return recordBytes;
  const { header, frames } = record.packet;
  let inline = inlineAfter(0, header.length);
  for (const frame of frames) inline = inlineAfter(inline, frame.byteLength);
  return recordBytes + 8 + 8 * frames.length + inline;
}

function start(kind: keyof typeof kinds, progress: Progress, payloadBytes: number): Buffer {
  const message = Buffer.allocUnsafe(prefixBytes + payloadBytes);
  putU32(message, 0, magic);
  putU32(message, 4, kinds[kind]);
  putCount(message, 8, progress.sequence);
  putCount(message, 16, progress.acked);
  putCount(message, 24, progress.bulkAcked);
  putU32(message, 32, (progress.isMissingBatches ? 1 : 0) + (progress.isMissingChunks ? 2 : 0));
  putU32(message, 36, payloadBytes);
  return message;
}

function writeRecord(message: Buffer, at: number, record: OutRecord): number {
  putU32(message, at + 4, recordKinds[record.kind]);
  putU32(message, at + 8, record.channel);
  let end = at + recordBytes;
  if (record.kind === 'credit') {
    putCount(message, end, record.limit);
    end += 8;
  } else if (record.kind === 'packet') {
    end = writePacket(message, end, record.packet);
  }
  putU32(message, at, end - at);
  return end;
}

function writePacket(message: Buffer, at: number, { header, frames }: Packet): number {
  putU32(message, at, header.length);
  putU32(message, at + 4, frames.length);
  const start = at + 8 + 8 * frames.length;
  let inline = writePart(message, start, 0, header);
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i]!;
    putCount(message, at + 8 + 8 * i, frame.byteLength);
    inline = writePart(message, start, inline, frame);
  }
  return start + inline;
}

/** @returns the inline bytes written so far */
function writePart(message: Buffer, start: number, inline: number, part: Uint8Array): number {
  if (!isInline(inline, part.byteLength)) return inline;
  message.set(part, start + inline);
  return inline + part.byteLength;
}
