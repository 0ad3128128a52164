/**
 * The copy of shared weights in a device's memory: one for all threads of a process, which agree on it by a few
 * shared words.
 */
import type { Device } from '../src/device/device.ts';
import { uploadFloats } from '../src/device/float-transfer.ts';
import { CxmindError } from '../src/errors.ts';
import type { Arena } from '../src/model/weights/arena.ts';
import { DeviceArena } from '../src/model/weights/device-arena.ts';
import type { FloatDType } from '../src/tensor/dtype.ts';
import type { SharedMemory } from '../src/tensor/memory.ts';
import { Turns } from '../src/turns.ts';

/** Size of a copy's shared words, in bytes. */
export const deviceCopyBytes = 64;

/** Indices of 32-bit words. */
const LOCK = 0;
const VERSION = 1;
/** Index of a 64-bit word. */
const HANDLE = 1;
/** Version of a copy that learners step: it is never filled again. */
const STEPPED = -1;

/**
 * Weights in a device's own memory, one copy for all threads of a process that compute there.
 *
 * | bytes | hold                                                                                |
 * | ----- | ----------------------------------------------------------------------------------- |
 * | 0-3   | i32, 1 while a thread makes or fills the copy                                       |
 * | 4-7   | i32, the version it was filled with, 0 for none, -1 once learners step it           |
 * | 8-15  | u64, the device's handle of it, 0 until it is made; it stays until the process ends |
 */
export class DeviceCopy {
  readonly arena: DeviceArena;
  readonly #device: Device;
  readonly #weights: Arena;
  readonly #words: Int32Array;
  readonly #turns = new Turns();

  /**
   * @param weights in this process's memory, of which this is the copy
   * @param memory  `deviceCopyBytes`, zero at first
   * @throws DEVICE_OUT_OF_MEMORY
   */
  constructor(device: Device, weights: Arena, dtype: FloatDType, memory: SharedMemory) {
    const { handles } = device;
    if (handles === null) {
      throw new CxmindError('INTERNAL', `threads cannot share what lies on ${device.name}`);
    }
    this.#device = device;
    this.#weights = weights;
    this.#words = new Int32Array(memory);
    const words = new BigUint64Array(memory);
    const shape = [weights.layout.length];
    {
      using _ = this.#lock();
      if (words[HANDLE] === 0n) words[HANDLE] = handles.of(device.allocate(dtype, shape));
    }
    this.arena = new DeviceArena(weights.layout, handles.view(words[HANDLE]!, dtype, shape));
  }

  /** Fills the copy with the weights of now, unless it has that version already. */
  bring(version: number): Promise<void> {
    return this.#turns.run(async () => {
      using _ = this.#lock();
      const held = this.#words[VERSION];
      if (held === version || held === STEPPED) return;
      uploadFloats(this.#device, this.#weights.flat, this.arena.flat);
      await this.#device.idle();
      this.#words[VERSION] = version;
    });
  }

  /** Fills the copy for the last time: learners step it from now on. */
  handOver(): Promise<void> {
    return this.bring(STEPPED);
  }

  /** Takes the lock. A thread holds it for seconds at most, while it fills the copy. */
  #lock(): Disposable {
    while (Atomics.compareExchange(this.#words, LOCK, 0, 1) !== 0) {
      Atomics.wait(this.#words, LOCK, 1);
    }
    return {
      [Symbol.dispose]: () => {
        Atomics.store(this.#words, LOCK, 0);
        Atomics.notify(this.#words, LOCK);
      },
    };
  }
}

/** Marks a copy as empty, before another run's weights. */
export function forgetDeviceCopy(memory: SharedMemory): void {
  new Int32Array(memory)[VERSION] = 0;
}
