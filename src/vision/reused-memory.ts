import { closeSync, fstatSync, readSync } from 'node:fs';
import { checkWholeSize, openToReadSync } from '../files.ts';
import { sizeOf, type Tensor } from '../tensor/tensor.ts';

/** Room beyond what is needed, so that a slightly larger file does not take new memory. */
const SPARE = 1.25;

/**
 * Memory for one image at a time: its file and its levels, used again for the next.
 *
 * Fresh memory is the dearer part of both. The kernel clears each page when it is first touched, which takes longer than
 * to fill it (a file of 750 KB read: 2 ms into fresh memory and 0.2 into this, on a virtual machine).
 */
export class ReusedMemory {
  #file = new Uint8Array(0);
  #levels = new Uint8Array(0);

  /** The bytes of a file, until the next one is read. Blocks the thread, which has nothing else to do. */
  readFile(path: string): Uint8Array {
    const file = openToReadSync(path);
    try {
      const { size } = checkWholeSize(fstatSync(file));
      if (size > this.#file.length) this.#file = new Uint8Array(Math.ceil(size * SPARE));
      let filled = 0;
      while (filled < size) {
        const count = readSync(file, this.#file, filled, size - filled, null);
        if (count === 0) break;
        filled += count;
      }
      return this.#file.subarray(0, filled);
    } finally {
      closeSync(file);
    }
  }

  /** Levels of any content, until they are asked for again. */
  levels(shape: readonly number[]): Tensor<'u8'> {
    const length = sizeOf(shape);
    if (length > this.#levels.length) this.#levels = new Uint8Array(Math.ceil(length * SPARE));
    return { dtype: 'u8', shape, data: this.#levels.subarray(0, length) };
  }
}
