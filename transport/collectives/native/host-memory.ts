/** Memory of several processes of a host: a file in `/dev/shm`, and Linux's futex to wait on its words. */
import { randomUUID } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs';
import koffi from 'koffi';
import { mapFile, openLibC, type LibC } from '../../../src/libc.ts';

/** Folder of the file system in memory. */
const DIRECTORY = '/dev/shm';

const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const futexNumbers: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 202,
  arm64: 98,
};

/** True when processes of this kind of machine can share memory. */
export function hasHostMemory(): boolean {
  return process.platform === 'linux' && futexNumbers[process.arch] !== undefined;
}

/** Makes a file of zeros in memory, which only this user may open, and returns its path. */
export function createHostMemory(byteLength: number): string {
  const path = `${DIRECTORY}/cxmind-${randomUUID()}`;
  const file = openSync(path, 'wx', 0o600);
  try {
    ftruncateSync(file, byteLength);
  } finally {
    closeSync(file);
  }
  return path;
}

/** Removes the name of a file. Processes that have mapped it keep its memory. */
export function unlinkHostMemory(path: string): void {
  rmSync(path, { force: true });
}

/** File in memory as one process has mapped it, with the kernel's futex to wait on a word of it. */
export class HostMemory {
  readonly buffer: ArrayBuffer;
  readonly #libc: LibC;
  readonly #address: bigint;
  /** Seconds and nanoseconds, which the kernel reads during a call. */
  readonly #timeout = new BigInt64Array(2);
  #isMapped = true;

  constructor(path: string, byteLength: number) {
    this.#libc = openLibC();
    const file = openSync(path, 'r+');
    try {
      this.#address = mapFile(this.#libc, file, byteLength);
    } finally {
      closeSync(file);
    }
    this.buffer = koffi.view(this.#address, byteLength);
  }

  /** Sleeps on a thread of libuv's pool until the word at this byte is woken or is not `value`. One call at a time. */
  wait(byteOffset: number, value: number, timeoutMs: number): Promise<void> {
    this.#timeout[0] = BigInt(Math.floor(timeoutMs / 1000));
    this.#timeout[1] = BigInt(Math.floor(timeoutMs % 1000)) * 1_000_000n;
    const at = this.#address + BigInt(byteOffset);
    const number = futexNumbers[process.arch]!;
    return new Promise((resolve) => {
      const done = (): void => resolve();
      this.#libc.syscall.async(number, at, FUTEX_WAIT, value, this.#timeout, null, 0, done);
    });
  }

  /** Wakes all who sleep on the word at this byte. */
  wake(byteOffset: number): void {
    const at = this.#address + BigInt(byteOffset);
    this.#libc.syscall(futexNumbers[process.arch]!, at, FUTEX_WAKE, 2 ** 31 - 1, null, null, 0);
  }

  /** Gives the memory back. Nobody may look at `buffer` afterwards. */
  unmap(): void {
    if (!this.#isMapped) return;
    this.#isMapped = false;
    this.#libc.munmap(this.#address, this.buffer.byteLength);
  }
}
