import type { Cudart } from './cudart.ts';

/**
 * One block of a card's memory for the intermediate tensors of whichever program runs.
 *
 * Programs run one after the other on the stream, so all share the block, which is as large as the largest needs.
 */
export class Scratch implements Disposable {
  readonly #cudart: Cudart;
  #address = 0n;
  #byteLength = 0;
  /** Blocks that captured work still writes to. */
  readonly #captured: bigint[] = [];

  constructor(cudart: Cudart) {
    this.#cudart = cudart;
  }

  /**
   * The address of a block of at least so many bytes, for work that is queued next.
   *
   * @throws DEVICE_OUT_OF_MEMORY
   */
  take(byteLength: number): bigint {
    if (byteLength <= this.#byteLength) return this.#address;
    if (this.#cudart.isCapturing) {
      if (this.#byteLength > 0) this.#captured.push(this.#address);
      this.#byteLength = 0;
    } else {
      this.trim();
    }
    this.#address = this.#cudart.allocate(byteLength);
    this.#byteLength = byteLength;
    return this.#address;
  }

  /** Waits for all queued work, and frees the block. */
  trim(): void {
    if (this.#byteLength === 0) return;
    this.#byteLength = 0;
    this.#cudart.synchronize();
    this.#cudart.free(this.#address);
  }

  [Symbol.dispose](): void {
    this.trim();
    for (const address of this.#captured.splice(0)) this.#cudart.free(address);
  }
}
