import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';

const BLOCK = 32_768;

/** The records of a log in LevelDB's form, every checksum verified, written from its description alone. */
export function recordsOf(log: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(log);
  const records: Uint8Array[] = [];
  let parts: Uint8Array[] = [];
  let at = 7;
  while (at < bytes.length) {
    const room = BLOCK - (at % BLOCK);
    if (room < 7) {
      at += room;
      continue;
    }
    const length = bytes.readUInt16LE(at + 4);
    const kind = bytes.readUInt8(at + 6);
    const data = bytes.subarray(at + 7, at + 7 + length);
    assert.equal(crc32(Buffer.concat([Uint8Array.of(kind), data])), bytes.readUInt32LE(at));
    if (kind === 1 || kind === 2) parts = [];
    parts.push(data);
    if (kind === 1 || kind === 4) records.push(Buffer.concat(parts));
    at += 7 + length;
  }
  return records;
}
