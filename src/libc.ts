/** Functions of the C library of Linux that Node does not offer: mapped files, advice on memory, futexes. */
import { CxmindError } from './errors.ts';
import { loadLibrary, type NativeFunction } from './native.ts';

/** Access to mapped memory. */
const PROT_READ_WRITE = 3;
/** Flags of mapping: writes go to the file; the mapping replaces what was at the address. */
const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
/** Advice that takes pages out of memory. */
export const MADV_DONTNEED = 4;

type Mmap = (
  at: bigint | null,
  length: number,
  prot: number,
  flags: number,
  fd: number,
  from: number,
) => bigint;
type Futex = (
  ...args: [number, bigint, number, number, ArrayBufferView | null, null, number]
) => number;

/** Functions of the C library of Linux. */
export interface LibC {
  readonly mmap: NativeFunction<Mmap>;
  readonly munmap: NativeFunction<(at: bigint, length: number) => number>;
  readonly madvise: NativeFunction<(at: bigint, length: number, advice: number) => number>;
  readonly fallocate: NativeFunction<(fd: number, from: number, length: number) => number>;
  readonly mallopt: NativeFunction<(setting: number, value: number) => number>;
  /** `syscall`, declared with the arguments of `futex` alone. */
  readonly syscall: Futex & { async: (...args: [...Parameters<Futex>, () => void]) => void };
}

/** Loads the functions for this thread; on Linux only. */
export function openLibC(): LibC {
  const library = loadLibrary(null);
  const mmap = ['void *', 'size_t', 'int', 'int', 'int', 'int64_t'];
  const syscall = ['long', 'void *', 'int', 'int', 'void *', 'void *', 'int'];
  return {
    mmap: library.func('mmap', 'void *', mmap) as NativeFunction<Mmap>,
    munmap: library.func('munmap', 'int', ['void *', 'size_t']),
    madvise: library.func('madvise', 'int', ['void *', 'size_t', 'int']),
    fallocate: library.func('posix_fallocate', 'int', ['int', 'int64_t', 'int64_t']),
    mallopt: library.func('mallopt', 'int', ['int', 'int']),
    syscall: library.func('syscall', 'long', syscall) as LibC['syscall'],
  };
}

/**
 * Maps an open file into memory, whose writes go to the file.
 *
 * @param at address of memory that the file replaces; null lets the system choose
 * @throws RUNTIME_FAILED
 */
export function mapFile(
  { mmap }: LibC,
  file: number,
  byteLength: number,
  at: bigint | null = null,
): bigint {
  const flags = at === null ? MAP_SHARED : MAP_SHARED | MAP_FIXED;
  const address = mmap(at, byteLength, PROT_READ_WRITE, flags, file, 0);
  if (BigInt.asIntN(64, address) !== -1n) return address;
  throw new CxmindError('RUNTIME_FAILED', `a file of ${byteLength} bytes cannot be mapped`);
}
