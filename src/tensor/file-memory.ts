import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, statfsSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getSystemErrorMessage } from 'node:util';
import { CxmindError, isSystemError } from '../errors.ts';
import { sizeText } from '../files.ts';
import {
  MADV_DONTNEED,
  MAP_FIXED,
  MAP_SHARED,
  openLibC,
  PROT_READ_WRITE,
  type LibC,
} from '../libc.ts';
import { addressOf } from '../native.ts';
import { isShared, noteSharedBytes, sharedBuffer, type SharedMemory } from './memory.ts';

/** Advice that faults all pages in at once, for reading or for writing. */
const MADV_POPULATE = { read: 22, write: 23 } as const;
/**
 * What ranges are rounded to: a multiple of every size of page that Linux is built with, and as much as it maps when
 * one of them is touched.
 */
const PAGE_BYTES = 64n << 10n;

/** Where large temporary files belong: `TMPDIR`, or where the system keeps such on a disk rather than in memory. */
export function scratchFolder(): string {
  const usual = '/var/tmp';
  return process.env['TMPDIR'] === undefined && existsSync(usual) ? usual : tmpdir();
}

/**
 * Zeros in shared memory whose pages lie in a file, so that those which nobody uses need not be in memory: `letGo`
 * takes them out of it, and a touch brings them back. Where there is no such thing, as outside Linux, the memory is
 * like any other.
 *
 * The file has no name and is gone with the memory, however the process ends. V8 takes no memory but its own; so the
 * file is laid over that of a growable block, which starts with a page and shares none with other memory.
 *
 * @throws IO_FAILED when the folder has no room for it
 */
export function fileBuffer(byteLength: number, folder = scratchFolder()): SharedMemory {
  if (process.platform !== 'linux' || byteLength === 0) return sharedBuffer(byteLength);
  const file = reserve(folder, byteLength);
  try {
    noteSharedBytes(byteLength);
    const block = new SharedArrayBuffer(byteLength, { maxByteLength: byteLength });
    const at = addressOf(block);
    const mapped = libc.functions.mmap(
      at,
      byteLength,
      PROT_READ_WRITE,
      MAP_SHARED | MAP_FIXED,
      file,
      0,
    );
    if (mapped !== at) {
      throw new CxmindError('RUNTIME_FAILED', `mmap of ${byteLength} bytes of ${folder} failed`);
    }
    return block;
  } finally {
    closeSync(file);
  }
}

/** Whether memory lies in a file: no other is growable. */
export function isInFile(buffer: ArrayBufferLike): buffer is SharedMemory {
  return isShared(buffer) && buffer.growable;
}

/** Takes elements out of memory, to come back from the file when they are touched; others than a file's stay. */
export function letGo(data: ArrayBufferView): void {
  advise(data, MADV_DONTNEED);
}

/** Brings elements of a file to memory at once, which is faster than page by page at their first touch. */
export function bringIn(data: ArrayBufferView, use: 'read' | 'write'): void {
  advise(data, MADV_POPULATE[use]);
}

/** The same for reading, on another thread than this one; resolves once they are there. */
export function bringInAhead(data: ArrayBufferView): Promise<void> {
  const pages = pagesOf(data);
  if (pages === null) return Promise.resolve();
  return new Promise((resolve) => {
    // Where the memory is gone before its turn comes, advice still changes no element of any other.
    libc.functions.madvise.async(pages.at, pages.byteLength, MADV_POPULATE.read, () => resolve());
  });
}

function advise(data: ArrayBufferView, advice: number): void {
  const pages = pagesOf(data);
  // Advice that a kernel does not know changes no element.
  if (pages !== null) libc.functions.madvise(pages.at, pages.byteLength, advice);
}

/** The pages of a file that elements lie in; null for elements that lie in none. */
function pagesOf({
  buffer,
  byteOffset,
  byteLength,
}: ArrayBufferView): { readonly at: bigint; readonly byteLength: number } | null {
  if (!isInFile(buffer) || byteLength === 0) return null;
  const first = addressOf(buffer);
  const last = first + BigInt(buffer.byteLength);
  const from = first + BigInt(byteOffset);
  const start = (from / PAGE_BYTES) * PAGE_BYTES;
  const end = ((from + BigInt(byteLength) + PAGE_BYTES - 1n) / PAGE_BYTES) * PAGE_BYTES;
  const [at, to] = [start < first ? first : start, end > last ? last : end];
  return { at, byteLength: Number(to - at) };
}

/** A file of so many bytes that are its own, without a name. */
function reserve(folder: string, byteLength: number): number {
  const path = join(folder, `cxmind-${randomUUID()}`);
  const refused = (reason: string): CxmindError =>
    new CxmindError(
      'IO_FAILED',
      `cannot keep ${sizeText(byteLength)} in a file of ${folder}: ${reason}; ` +
        'set TMPDIR to a folder with room, or offload less',
      { detail: { folder, sizeBytes: byteLength } },
    );
  let file: number;
  try {
    const { bavail, bsize } = statfsSync(folder);
    // Asked for more than there is, a file system takes all of it before it says so.
    const free = bavail * bsize;
    if (free < byteLength) throw refused(`${sizeText(free)} are free there`);
    file = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw refused(cause.message);
  }
  // Without room of its own, a page that finds none later would end the process.
  const error = libc.functions.fallocate(file, 0, byteLength);
  if (error === 0) return file;
  closeSync(file);
  throw refused(getSystemErrorMessage(-error));
}

/** The C library, loaded at the first use. */
class LateLibC {
  #functions: LibC | undefined;

  get functions(): LibC {
    return (this.#functions ??= openLibC());
  }
}

const libc = new LateLibC();
