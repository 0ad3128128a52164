import { CxmindError } from '../../errors.ts';
import { sharedBuffer, type SharedMemory } from '../../tensor/memory.ts';
import { bytesPerElement, viewOf, type FloatDType, type TypedArrays } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import {
  ArenaIndex,
  contentLength,
  layoutFrom,
  type ArenaEntry,
  type ArenaLayout,
} from './arena-layout.ts';

/**
 * All parameters of a model, or their gradients or moments, as one block of shared memory: in f32, or a copy in the
 * dtype that a model computes in.
 *
 * One thread writes at a time; all holders of layout and buffer read the same bytes. One buffer is enough for any
 * model: V8 allows typed arrays of more than 2^32 elements.
 */
export class Arena<D extends FloatDType = 'f32'> {
  readonly layout: ArenaLayout;
  readonly dtype: D;
  readonly buffer: SharedMemory;
  /** Every element, padding included. */
  readonly data: TypedArrays[D];
  readonly #index: ArenaIndex;

  /**
   * @param buffer the bytes of an existing arena; zeros of its own when left out
   * @param byteOffset beginning of the arena in the buffer, which ends with it
   */
  constructor(layout: ArenaLayout, buffer?: SharedMemory, dtype: D = 'f32' as D, byteOffset = 0) {
    const byteLength = layout.length * bytesPerElement(dtype);
    if (buffer !== undefined && buffer.byteLength - byteOffset !== byteLength) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `arena: the layout wants ${byteLength} bytes, the buffer has ${buffer.byteLength - byteOffset}`,
      );
    }
    this.layout = layout;
    this.dtype = dtype;
    this.buffer = buffer ?? sharedBuffer(byteLength);
    this.data = viewOf(dtype, this.buffer, byteOffset, layout.length);
    this.#index = new ArenaIndex(layout);
  }

  get byteLength(): number {
    return this.data.byteLength;
  }

  /** Every element as one tensor, padding included; a view. */
  get flat(): Tensor<D> {
    return { dtype: this.dtype, shape: [this.layout.length], data: this.data };
  }

  /** All parameters as one tensor, without the padding after them; a view. */
  get content(): Tensor<D> {
    const length = contentLength(this.layout);
    return this.#part([length], 0, length);
  }

  has(name: string): boolean {
    return this.#index.has(name);
  }

  /** Place of a parameter. */
  entry(name: string): ArenaEntry {
    return this.#index.entry(name);
  }

  /** One parameter, as a view. */
  tensor(name: string): Tensor<D> {
    const { shape, offset, size } = this.entry(name);
    return this.#part(shape, offset, offset + size);
  }

  /**
   * Neighbours as one tensor, as a view.
   *
   * @param names in arena order, nothing between them
   * @param shape shape of the whole; left out, the parameters are stacked along their first axis
   * @param part index of the wanted part, if the whole is several parts of that shape; left out, the whole
   * @throws SHAPE_MISMATCH when they are not adjacent, or the shape has another size
   */
  span(names: readonly string[], shape?: readonly number[], part?: number): Tensor<D> {
    const span = this.#index.span(names, shape, part);
    return this.#part(span.shape, span.start, span.end);
  }

  /** The parameters that lie from element `start` on, as an arena over the same memory. */
  from(start: number): Arena<D> {
    if (start === 0) return this;
    const byteOffset = this.data.byteOffset + start * this.data.BYTES_PER_ELEMENT;
    return new Arena(layoutFrom(this.layout, start), this.buffer, this.dtype, byteOffset);
  }

  /** Zeros of the same layout in f32: gradients, moments. */
  twin(): Arena {
    return new Arena(this.layout);
  }

  #part(shape: readonly number[], start: number, end: number): Tensor<D> {
    return { dtype: this.dtype, shape, data: this.data.subarray(start, end) as TypedArrays[D] };
  }
}
