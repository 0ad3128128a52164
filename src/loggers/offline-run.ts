/** Parts that the offline runs of wandb and SwanLab share: the log file, ids and times. */
import { randomInt } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Messages } from '../protobuf.ts';

const BLOCK = 32_768;
const HEADER = 7;

const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** Header of a file of records: four letters, a magic number, a version. */
export interface LogHeader {
  readonly ident: string;
  readonly magic: number;
  readonly version: number;
}

/**
 * A log file of LevelDB's form, in which wandb and SwanLab keep their runs.
 *
 * It is blocks of 32 KiB with records, or parts of records, each behind its CRC-32, length and kind. The file's own
 * header counts as part of the first block. Every record is handed to the system whole, so that a crash loses none.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/log_format.md
 */
export class RecordLog {
  readonly #file: number;
  #size = HEADER;

  /** @param path of a file that is not there yet */
  constructor(path: string, { ident, magic, version }: LogHeader) {
    this.#file = openSync(path, 'wx');
    const header = Buffer.alloc(HEADER);
    header.write(ident, 0, 'latin1');
    header.writeUInt16LE(magic, 4);
    header.writeUInt8(version, 6);
    writeSync(this.#file, header);
  }

  append(data: Uint8Array): void {
    const chunks: Uint8Array[] = [];
    const room = BLOCK - (this.#size % BLOCK);
    // A block's last bytes that hold no header stay zero.
    if (room < HEADER) this.#push(chunks, Buffer.alloc(room));
    let start = 0;
    do {
      const space = BLOCK - (this.#size % BLOCK) - HEADER;
      const part = data.subarray(start, start + space);
      const isFirst = start === 0;
      start += part.length;
      const isLast = start === data.length;
      const kind = isFirst ? (isLast ? FULL : FIRST) : isLast ? LAST : MIDDLE;
      this.#push(chunks, partHeader(part, kind));
      this.#push(chunks, part);
    } while (start < data.length);
    writeSync(this.#file, Buffer.concat(chunks));
  }

  close(): void {
    closeSync(this.#file);
  }

  #push(chunks: Uint8Array[], bytes: Uint8Array): void {
    chunks.push(bytes);
    this.#size += bytes.length;
  }
}

function partHeader(part: Uint8Array, kind: number): Uint8Array {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(crc32(part, crc32(Uint8Array.of(kind))), 0);
  header.writeUInt16LE(part.length, 4);
  header.writeUInt8(kind, 6);
  return header;
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** A random id of a run, of letters and digits. */
export function randomId(length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}

/** `google.protobuf.Timestamp`. */
export const Timestamp: Messages[string] = { seconds: ['int64', 1], nanos: ['int32', 2] };

/** Milliseconds since 1970 as a `Timestamp`. */
export function timestampOf(milliseconds: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: Math.round((milliseconds - seconds * 1000) * 1e6) };
}

/** Local time in the form that names folders of runs: `20250131_235959`. */
export function localStamp(milliseconds: number): string {
  const offset = new Date(milliseconds).getTimezoneOffset() * 60_000;
  const text = new Date(milliseconds - offset).toISOString().slice(0, 19);
  return text.replaceAll(/[-:]/g, '').replace('T', '_');
}
