import { loadLibrary, type NativeFunction } from './native.ts';

/** Access to memory that is mapped. */
export const PROT_READ_WRITE = 3;
/** How memory is mapped: its writes are those of the file; in place of what was at the address before. */
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

/** What is used of the C library of Linux. */
export interface LibC {
  readonly mmap: NativeFunction<Mmap>;
  readonly munmap: NativeFunction<(at: bigint, length: number) => number>;
  readonly madvise: NativeFunction<(at: bigint, length: number, advice: number) => number>;
  readonly fallocate: NativeFunction<(fd: number, from: number, length: number) => number>;
  readonly mallopt: NativeFunction<(setting: number, value: number) => number>;
  /** Of `futex` alone, whose arguments it is declared with. */
  readonly syscall: Futex & { async: (...args: [...Parameters<Futex>, () => void]) => void };
}

/** The functions as this thread calls them; on Linux only. */
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
