import { loadLibrary, type NativeFunction } from './native.ts';

/** Access to mapped memory. */
export const PROT_READ_WRITE = 3;
/** Flags of mapping: writes go to the file; the mapping replaces what was at the address. */
export const MAP_SHARED = 1;
export const MAP_FIXED = 0x10;
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
