import type { Device } from '../../device/device.ts';
import { SlabWorkspace } from '../../device/slab-workspace.ts';
import type { DType } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { countedView, type CountedView } from './view.ts';

/** Slab without memory, of which only the size counts. */
interface CountedSlab {
  readonly byteLength: number;
}

/** Device of a workspace, and the functions that report to it. */
interface Owner {
  readonly device: Device;
  /** True while a recording is made, whose memory stays. */
  readonly isRecording: () => boolean;
  /** Receives the number of bytes that the workspace takes, or, negative, that it gives back. */
  readonly hold: (bytes: number) => void;
  readonly onPut: (tensor: Tensor) => void;
}

/**
 * A workspace that is planned as those of devices are, slab by slab, and has no memory.
 *
 * A card's slab takes memory when it is made, the host's page by page, as it is written to.
 */
export class CountedWorkspace extends SlabWorkspace<CountedSlab> {
  readonly #owner: Owner;
  #isRecorded = false;
  /** Bytes of the host's slabs that were written to. */
  #touchedBytes = 0;

  constructor(owner: Owner) {
    super();
    this.#owner = owner;
  }

  take<D extends DType>(dtype: D, shape: readonly number[]): CountedView<D> {
    this.#isRecorded ||= this.#owner.isRecording();
    this.cut(dtype, shape);
    if (this.#isOnHost) this.#touch(Math.max(this.#touchedBytes, this.cutBytes));
    return countedView(this.#owner.device, dtype, shape);
  }

  /** A device that reads the host's memory takes a tensor as it is, any other a copy. */
  put<D extends DType>(tensor: Tensor<D>): CountedView<D> {
    const { device } = this.#owner;
    if (!this.#isOnHost) this.take(tensor.dtype, tensor.shape);
    this.#owner.onPut(tensor);
    return { device, dtype: tensor.dtype, shape: tensor.shape, tensor };
  }

  /** Gives every tensor and all memory back, unless a recording works in it. */
  trim(): void {
    if (!this.#isRecorded) this.clear();
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#touch(0);
  }

  protected allocateSlab(byteLength: number): CountedSlab {
    if (!this.#isOnHost) this.#owner.hold(byteLength);
    return { byteLength };
  }

  protected freeSlab({ byteLength }: CountedSlab): void {
    if (!this.#isOnHost) this.#owner.hold(-byteLength);
  }

  get #isOnHost(): boolean {
    return this.#owner.device.host !== null;
  }

  #touch(bytes: number): void {
    this.#owner.hold(bytes - this.#touchedBytes);
    this.#touchedBytes = bytes;
  }
}
