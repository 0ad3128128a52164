/** Layouts of a model's parameters in one flat block, and the places of parameters in them. */
import { CxmindError } from '../../errors.ts';
import { sizeOf } from '../../tensor/tensor.ts';

/** A parameter to be laid out. */
export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Place of a parameter; offset and size in elements. */
export interface ArenaEntry extends ParameterShape {
  readonly offset: number;
  readonly size: number;
}

/**
 * The order of all parameters in one flat block. It is plain data, from which a worker rebuilds the same views of a
 * buffer.
 *
 * ```
 * element  0          16                          ...
 *          | norm.w   | q.w  k.w  v.w | pad | q.b  k.b  v.b | pad | ...
 *          '- group --'---- group ----------'---- group ----------'
 * ```
 *
 * A group starts at a multiple of 16 elements, 64 bytes of f32. Inside a group nothing lies between neighbours, so they
 * can be seen as one tensor. Padding is zero and stays zero. There is more at the end where learners divide the block
 * (`dividedInto`).
 */
export interface ArenaLayout {
  readonly entries: readonly ArenaEntry[];
  /** Number of elements, padding included; a multiple of 16. */
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

/** Number of elements of the parameters, without padding. */
export function parameterCount({ entries }: ArenaLayout): number {
  return sum(entries.map(({ size }) => size));
}

/** Number of elements of the parameters and the padding between them, without the end's padding for parts. */
export function contentLength({ entries }: ArenaLayout): number {
  const last = entries.at(-1);
  return last === undefined ? 0 : Math.ceil((last.offset + last.size) / alignment) * alignment;
}

/**
 * The layout with its end padded, so that the elements from `start` on divide into equal parts, each a multiple of 16
 * elements.
 */
export function dividedInto(layout: ArenaLayout, parts: number, start = 0): ArenaLayout {
  const unit = alignment * parts;
  const divided = Math.ceil((contentLength(layout) - start) / unit) * unit;
  return { entries: layout.entries, length: start + divided };
}

/** Neighbours in an arena as one tensor: from element `start` to `end`, in a shape. */
export interface ArenaSpan {
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

/** Finds parameters of a layout by their names. */
export class ArenaIndex {
  readonly #byName: ReadonlyMap<string, ArenaEntry>;

  constructor({ entries }: ArenaLayout) {
    this.#byName = new Map(entries.map((entry) => [entry.name, entry]));
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Place of a parameter. */
  entry(name: string): ArenaEntry {
    const entry = this.#byName.get(name);
    if (entry === undefined) {
      throw new CxmindError('INTERNAL', `arena: there is no parameter ${name}`);
    }
    return entry;
  }

  /**
   * Place of neighbours.
   *
   * @param names in arena order, nothing between them
   * @param shape shape of the whole; left out, the parameters are stacked along their first axis
   * @param part index of the wanted part, if the whole is several parts of that shape; left out, the whole
   * @throws SHAPE_MISMATCH when they are not adjacent, or the shape has another size
   */
  span(names: readonly string[], shape?: readonly number[], part?: number): ArenaSpan {
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
    const size = sizeOf(whole);
    const parts = (end - first.offset) / size;
    if (part === undefined ? parts !== 1 : !Number.isInteger(parts) || part >= parts) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `arena: [${whole.join(', ')}] does not hold ${names.join(', ')}, ${end - first.offset} elements`,
      );
    }
    const start = first.offset + (part ?? 0) * size;
    return { shape: whole, start, end: start + size };
  }
}

/** The layout of the parameters that lie from element `start` on, by themselves. */
export function layoutFrom({ entries, length }: ArenaLayout, start: number): ArenaLayout {
  return {
    entries: entries
      .filter(({ offset }) => offset >= start)
      .map((entry) => ({ ...entry, offset: entry.offset - start })),
    length: length - start,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
