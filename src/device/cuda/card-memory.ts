import { openCudart } from './cudart.ts';
import { define, type Out } from './library.ts';

/** Free and total memory of a card, in bytes, whoever uses it. */
export interface CardMemory {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/**
 * Opens a gauge of the memory of cards, for a thread that does not work on them.
 *
 * It may be read while other threads work, and leaves the current card of this thread as it is. It gives null for a card
 * that cannot be asked, for example after an error of its work. The thread that works on the card reports that error.
 *
 * @throws DEVICE_MISSING without CUDA's runtime library
 */
export function openCardGauge(): (ordinal: number) => CardMemory | null {
  const library = openCudart();
  const getDevice = define<[Out]>(library, 'cudaGetDevice', ['void *']);
  const setDevice = define<[number]>(library, 'cudaSetDevice', ['int']);
  const memoryInfo = define<[Out, Out]>(library, 'cudaMemGetInfo', ['void *', 'void *']);
  const out: Out = new BigUint64Array(new SharedArrayBuffer(16));
  return (ordinal) => {
    if (getDevice(out) !== 0) return null;
    const own = Number(out[0]! & 0xffffffffn);
    try {
      if (setDevice(ordinal) !== 0 || memoryInfo(out, out.subarray(1)) !== 0) return null;
      return { freeBytes: Number(out[0]), totalBytes: Number(out[1]) };
    } finally {
      setDevice(own);
    }
  };
}
