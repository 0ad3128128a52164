import { CxmindError } from '../errors.ts';
import { sharedBuffer } from '../tensor/memory.ts';
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
 * The order of all parameters in one flat f32 block: plain data, so that a worker rebuilds the same
 * views from a layout and a buffer.
 *
 * ```
 * element  0          16                          ...
 *          | norm.w   | q.w  k.w  v.w | pad | q.b  k.b  v.b | pad | ...
 *          '- group --'---- group ----------'---- group ----------'
 * ```
 *
 * A group starts at a multiple of 16 elements (64 bytes); inside a group nothing lies between
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
 * All parameters of a model, or their gradients or moments, as one f32 SharedArrayBuffer.
 *
 * One thread writes at a time; everyone else who holds layout and buffer reads the same bytes. One
 * buffer is enough for any model: V8 allows typed arrays of more than 2^32 elements.
 */
export class Arena {
  readonly layout: ArenaLayout;
  readonly buffer: SharedArrayBuffer;
  /** Every element, padding included. */
  readonly data: Float32Array<SharedArrayBuffer>;
  readonly #byName: ReadonlyMap<string, ArenaEntry>;

  /**
   * @param buffer the bytes of an existing arena; zeros of its own when left out
   * @param byteOffset where the arena begins in the buffer, which ends with it
   */
  constructor(layout: ArenaLayout, buffer?: SharedArrayBuffer, byteOffset = 0) {
    const byteLength = layout.length * Float32Array.BYTES_PER_ELEMENT;
    if (buffer !== undefined && buffer.byteLength - byteOffset !== byteLength) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `arena: the layout wants ${byteLength} bytes, the buffer has ${buffer.byteLength - byteOffset}`,
      );
    }
    this.layout = layout;
    this.buffer = buffer ?? sharedBuffer(byteLength);
    this.data = new Float32Array(this.buffer, byteOffset, layout.length);
    this.#byName = new Map(layout.entries.map((entry) => [entry.name, entry]));
  }

  get byteLength(): number {
    return this.data.byteLength;
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
  tensor(name: string): Tensor<'f32'> {
    const { shape, offset, size } = this.entry(name);
    return { dtype: 'f32', shape, data: this.data.subarray(offset, offset + size) };
  }

  /**
   * Neighbours as one tensor, as a view.
   *
   * @param names in arena order, nothing between them
   * @param shape of the whole; left out, the parameters are stacked along their first axis
   * @throws SHAPE_MISMATCH when they are not adjacent, or the shape has another size
   */
  span(names: readonly string[], shape?: readonly number[]): Tensor<'f32'> {
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
    return { dtype: 'f32', shape: whole, data: this.data.subarray(first.offset, end) };
  }

  /** The parameters that lie from element `start` on, as an arena over the same memory. */
  from(start: number): Arena {
    if (start === 0) return this;
    const entries = this.layout.entries
      .filter(({ offset }) => offset >= start)
      .map((entry) => ({ ...entry, offset: entry.offset - start }));
    const layout = { entries, length: this.layout.length - start };
    const byteOffset = this.data.byteOffset + start * Float32Array.BYTES_PER_ELEMENT;
    return new Arena(layout, this.buffer, byteOffset);
  }

  /** Zeros of the same layout: gradients, moments. */
  twin(): Arena {
    return new Arena(this.layout);
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
