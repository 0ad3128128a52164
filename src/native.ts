import koffi, { type LibraryHandle } from 'koffi';

/** Stack of native calls off the thread, in bytes. koffi's 128 KiB is too little for large libraries. */
const ASYNC_STACK_BYTES = 4 << 20;

/**
 * A native library, or with null the process itself with all that is loaded into it.
 *
 * koffi takes settings only before its first library, whoever loads it, so this is the way for everybody.
 */
export function loadLibrary(path: string | null): LibraryHandle {
  if (koffi.config().async_stack_size !== ASYNC_STACK_BYTES) {
    koffi.config({ async_stack_size: ASYNC_STACK_BYTES });
  }
  return koffi.load(path);
}

/**
 * A native library that stays for the life of the process. What has threads of its own has to: koffi unloads a library
 * when the thread ends that loaded it, and would pull the code from under them.
 */
export function loadForGood(path: string): LibraryHandle {
  const library = loadLibrary(path);
  // One more reference, which nobody gives back.
  const now = 2;
  if (process.platform === 'win32') {
    loadLibrary('kernel32.dll').func('LoadLibraryW', 'void *', ['const char16_t *'])(path);
  } else {
    loadLibrary(null).func('dlopen', 'void *', ['const char *', 'int'])(path, now);
  }
  return library;
}

/** Where the bytes of a block of memory lie. */
export function addressOf(block: ArrayBufferLike): bigint {
  return koffi.address(new Uint8Array(block));
}

/** A function of a native library, of a type that its declaration in C promises. */
export type { KoffiFunc as NativeFunction } from 'koffi';
