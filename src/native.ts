/** Native libraries, loaded by koffi. All are loaded here, since koffi takes settings only before the first one. */
import koffi, { type LibraryHandle } from 'koffi';

/** Stack of native calls off the thread, in bytes. koffi's 128 KiB is too little for large libraries. */
const ASYNC_STACK_BYTES = 4 << 20;

/** Loads a native library; null is the process itself with all libraries that it has loaded. */
export function loadLibrary(path: string | null): LibraryHandle {
  if (koffi.config().async_stack_size !== ASYNC_STACK_BYTES) {
    koffi.config({ async_stack_size: ASYNC_STACK_BYTES });
  }
  return koffi.load(path);
}

/**
 * Loads a native library that stays for the life of the process.
 *
 * A library with threads of its own needs this: koffi unloads a library when the thread that loaded it ends.
 */
export function loadForGood(path: string): LibraryHandle {
  const library = loadLibrary(path);
  // One more reference, which is never given back.
  const now = 2;
  if (process.platform === 'win32') {
    loadLibrary('kernel32.dll').func('LoadLibraryW', 'void *', ['const char16_t *'])(path);
  } else {
    loadLibrary(null).func('dlopen', 'void *', ['const char *', 'int'])(path, now);
  }
  return library;
}

/** The address of a block of memory. */
export function addressOf(block: ArrayBufferLike): bigint {
  return koffi.address(new Uint8Array(block));
}

/** A function of a native library, whose type must agree with its declaration in C. */
export type { KoffiFunc as NativeFunction } from 'koffi';
