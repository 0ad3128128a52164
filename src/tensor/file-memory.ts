/** Shared memory whose pages lie in a file, so that they need not stay in memory. */
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync, statfsSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getSystemErrorMessage } from 'node:util';
import { CxmindError, isSystemError } from '../errors.ts';
import { sizeText } from '../files.ts';
import { MADV_DONTNEED, mapFile, openLibC, type LibC } from '../libc.ts';
import { addressOf } from '../native.ts';
import { isShared, noteSharedBytes, sharedBuffer, type SharedMemory } from './memory.ts';

/** Advice to load all pages at once, for reading or for writing. */
const MADV_POPULATE = { read: 22, write: 23 } as const;
/** Alignment of ranges: a multiple of every page size of Linux, and the range that it maps when a page is touched. */
const PAGE_BYTES = 64n << 10n;

/** Folder for large temporary files: `TMPDIR`, or the system's folder on a disk rather than in memory. */
function scratchFolder(): string {
  const usual = '/var/tmp';
  return process.env['TMPDIR'] === undefined && existsSync(usual) ? usual : tmpdir();
}

/**
 * Makes zeros in shared memory whose pages lie in a file.
 *
 * `letGo` takes pages out of memory, and a touch brings them back. Outside Linux the memory is ordinary.
 *
 * The file has no name and disappears with the memory, however the process ends. V8 accepts no memory but its own. So the
 * file is mapped over that of a growable block, which starts at a page and shares no page with other memory.
 *
 * @throws IO_FAILED when the folder has no room for it
 */
export function fileBuffer(byteLength: number, folder = scratchFolder()): SharedMemory {
  if (process.platform !== 'linux' || byteLength === 0) return sharedBuffer(byteLength);
  const file = reserve(folder, byteLength);
  try {
    noteSharedBytes(byteLength);
    const block = new SharedArrayBuffer(byteLength, { maxByteLength: byteLength });
    mapFile(libc.functions, file, byteLength, addressOf(block));
    return block;
  } finally {
    closeSync(file);
  }
}

/** True if memory lies in a file. No other memory is growable. */
export function isInFile(buffer: ArrayBufferLike): buffer is SharedMemory {
  return isShared(buffer) && buffer.growable;
}

/** Takes elements out of memory. They come back from the file when they are touched. It does nothing to other memory. */
export function letGo(data: ArrayBufferView): void {
  advise(data, MADV_DONTNEED);
}

/** Loads elements of a file at once, which is faster than page by page at the first touch. */
export function bringIn(data: ArrayBufferView, use: 'read' | 'write'): void {
  advise(data, MADV_POPULATE[use]);
}

/** Loads elements of a file for reading, on another thread; resolves once they are in memory. */
export function bringInAhead(data: ArrayBufferView): Promise<void> {
  const pages = pagesOf(data);
  if (pages === null) return Promise.resolve();
  return new Promise((resolve) => {
    // The memory may be gone by then. Advice on other memory in its place changes no element.
    libc.functions.madvise.async(pages.at, pages.byteLength, MADV_POPULATE.read, () => resolve());
  });
}

function advise(data: ArrayBufferView, advice: number): void {
  const pages = pagesOf(data);
  // An old kernel may refuse the advice, which changes no element.
  if (pages !== null) libc.functions.madvise(pages.at, pages.byteLength, advice);
}

/** The pages of a file that hold elements; null for elements of other memory. */
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

/** Opens a file without a name, for which `byteLength` bytes of the disk are set aside. */
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
    // A file system that has too little room would use up all of it before it fails.
    const free = bavail * bsize;
    if (free < byteLength) throw refused(`${sizeText(free)} are free there`);
    file = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw refused(cause.message);
  }
  // Without room set aside, a page that finds none later would end the process.
  const error = libc.functions.fallocate(file, 0, byteLength);
  if (error === 0) return file;
  closeSync(file);
  throw refused(getSystemErrorMessage(-error));
}

/** The C library, declared once for a thread at the first use, since most threads map no files. */
class LateLibC {
  #functions: LibC | undefined;

  get functions(): LibC {
    return (this.#functions ??= openLibC());
  }
}

const libc = new LateLibC();
