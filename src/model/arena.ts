import { CxmindError } from '../errors.ts';
import { sharedBuffer } from '../tensor/memory.ts';
import { bytesPerElement, viewOf, type FloatDType, type TypedArrays } from '../tensor/dtype.ts';
import { sizeOf, type Tensor } from '../tensor/tensor.ts';

/** A parameter to be laid out. */
export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Where a parameter lies; offset and size in elements. */
export interface ArenaEntry extends ParameterShape {
  readonly offset: number;
  readonly size: number;
}

/**
 * The order of all parameters in one flat block: plain data, so that a worker rebuilds the same
 * views from a layout and a buffer.
 *
 * ```
 * element  0          16                          ...
 *          | norm.w   | q.w  k.w  v.w | pad | q.b  k.b  v.b | pad | ...
 *          '- group --'---- group ----------'---- group ----------'
 * ```
 *
 * A group starts at a multiple of 16 elements, 64 bytes of f32; inside a group nothing lies between
 * neighbours, so they can be seen as one tensor. Padding is zero and stays zero; there is more of it at the
 * end where learners divide the block among them (`dividedInto`).
 */
export interface ArenaLayout {
  readonly entries: readonly ArenaEntry[];
  /** Elements in all, padding included; a multiple of 16. */
  readonly length: number;
}

const alignment = 16;

/** Lays groups of parameters out one after the other; the members of a group are adjacent. */
export function layOut(groups: readonly (readonly ParameterShape[])[]): ArenaLayout {
  const entries: ArenaEntry[] = [];
  let offset = 0;
  for (const group of groups) {
    for (const { name, shape } of group) {
      const size = sizeOf(shape);
      entries.push({ name, shape, offset, size });
      offset += size;
    }
    offset = Math.ceil(offset / alignment) * alignment;
  }
  return { entries, length: offset };
}

/** Elements of the parameters, without padding. */
export function parameterCount({ entries }: ArenaLayout): number {
  return sum(entries.map(({ size }) => size));
}

/** Elements of the parameters and the padding between them, without what pads the end for parts. */
export function contentLength({ entries }: ArenaLayout): number {
  const last = entries.at(-1);
  return last === undefined ? 0 : Math.ceil((last.offset + last.size) / alignment) * alignment;
}

/**
 * The layout with its end padded until what lies from `start` on divides into so many equal parts, each a multiple
 * of 16 elements.
 */
export function dividedInto(layout: ArenaLayout, parts: number, start = 0): ArenaLayout {
  const unit = alignment * parts;
  const divided = Math.ceil((contentLength(layout) - start) / unit) * unit;
  return { entries: layout.entries, length: start + divided };
}

/**
 * All parameters of a model, or their gradients or moments, as one SharedArrayBuffer: of f32, or a copy in the dtype
 * that a model computes in.
 *
 * One thread writes at a time; everyone else who holds layout and buffer reads the same bytes. One
 * buffer is enough for any model: V8 allows typed arrays of more than 2^32 elements.
 */
export class Arena<D extends FloatDType = 'f32'> {
  readonly layout: ArenaLayout;
  readonly dtype: D;
  readonly buffer: SharedArrayBuffer;
  /** Every element, padding included. */
  readonly data: TypedArrays[D];
  readonly #byName: ReadonlyMap<string, ArenaEntry>;

  /**
   * @param buffer the bytes of an existing arena; zeros of its own when left out
   * @param byteOffset where the arena begins in the buffer, which ends with it
   */
  constructor(
    layout: ArenaLayout,
    buffer?: SharedArrayBuffer,
    dtype: D = 'f32' as D,
    byteOffset = 0,
  ) {
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
    this.#byName = new Map(layout.entries.map((entry) => [entry.name, entry]));
  }

  get byteLength(): number {
    return this.data.byteLength;
  }

  /** Every element as one tensor, padding included; a view. */
  get flat(): Tensor<D> {
    return { dtype: this.dtype, shape: [this.layout.length], data: this.data };
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Where a parameter lies. */
  entry(name: string): ArenaEntry {
    const entry = this.#byName.get(name);
    if (entry === undefined) {
      throw new CxmindError('INTERNAL', `arena: there is no parameter ${name}`);
    }
    return entry;
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
   * @param shape of the whole; left out, the parameters are stacked along their first axis
   * @throws SHAPE_MISMATCH when they are not adjacent, or the shape has another size
   */
  span(names: readonly string[], shape?: readonly number[]): Tensor<D> {
    const entries = names.map((name) => this.entry(name));
    const first = entries[0];
    if (first === undefined) throw new CxmindError('INTERNAL', 'arena: a span of no parameters');
    let end = first.offset;
    for (const { name, offset, size } of entries) {
      if (offset !== end) {
        throw new CxmindError(
          'SHAPE_MISMATCH',
          `arena: ${name} starts at ${offset}, not at ${end}, where the span ${names.join(', ')} wants it`,
        );
      }
      end = offset + size;
    }
    const stacked = [sum(entries.map((entry) => entry.shape[0] ?? 1)), ...first.shape.slice(1)];
    const whole = shape ?? stacked;
    if (sizeOf(whole) !== end - first.offset) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `arena: [${whole.join(', ')}] does not hold ${names.join(', ')}, ${end - first.offset} elements`,
      );
    }
    return this.#part(whole, first.offset, end);
  }

  /** The parameters that lie from element `start` on, as an arena over the same memory. */
  from(start: number): Arena<D> {
    if (start === 0) return this;
    const entries = this.layout.entries
      .filter(({ offset }) => offset >= start)
      .map((entry) => ({ ...entry, offset: entry.offset - start }));
    const layout = { entries, length: this.layout.length - start };
    const byteOffset = this.data.byteOffset + start * this.data.BYTES_PER_ELEMENT;
    return new Arena(layout, this.buffer, this.dtype, byteOffset);
  }

  /** Zeros of the same layout in f32: gradients, moments. */
  twin(): Arena {
    return new Arena(this.layout);
  }

  #part(shape: readonly number[], start: number, end: number): Tensor<D> {
    return { dtype: this.dtype, shape, data: this.data.subarray(start, end) as TypedArrays[D] };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
