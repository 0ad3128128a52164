/** Shapes in symbols: comparison, broadcasting, sizes at run time, and errors that print shapes. */
import { CxmindError } from '../errors.ts';
import { evaluateDim, sizeOfDim, soleSymbol } from './dim.ts';
import type { Dim, ValueType } from './ir.ts';
import type { Shapes } from './kernel.ts';

/** True if two shapes have the same dimensions, in normal form. */
export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** True if two lists have the same shapes. */
export function areEqualShapes(a: Shapes, b: Shapes): boolean {
  return a.length === b.length && a.every((shape, i) => sameShape(shape, b[i]!));
}

/** The shape as text: `[T, 8]`. */
export function formatShape(shape: readonly Dim[]): string {
  return `[${shape.join(', ')}]`;
}

/** The shape that operands broadcast to, or undefined; two different symbols do not broadcast. */
export function broadcastShapes(shapes: readonly (readonly Dim[])[]): Dim[] | undefined {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result: Dim[] = new Array<Dim>(rank).fill(1);
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const at = rank - shape.length + i;
      const dim = shape[i]!;
      if (dim === 1 || dim === result[at]) continue;
      if (result[at] !== 1) return undefined;
      result[at] = dim;
    }
  }
  return result;
}

/** True if the sizes of given values determine all sizes of some shapes. */
export function areSized(shapes: readonly (readonly Dim[])[], from: readonly ValueType[]): boolean {
  const given = from.flatMap(({ shape }) => shape);
  const known = new Set<Dim | undefined>([...given, ...given.map((dim) => soleSymbol(dim)?.name)]);
  const isSized = (dim: Dim): boolean =>
    known.has(dim) ||
    evaluateDim<boolean>(dim, {
      number: () => true,
      symbol: (name) => known.has(name),
      binary: (_operator, left, right) => left && right,
    });
  return shapes.every((shape) => shape.every(isSized));
}

/**
 * Computes the shapes of values in numbers from those of given ones.
 *
 * @param wanted the values, in symbols
 * @param from   the given values, in symbols
 * @param shapes the given values' shapes in numbers
 * @throws INTERNAL where `areSized` is false
 */
export function shapesOf(
  wanted: readonly Pick<ValueType, 'shape'>[],
  from: readonly ValueType[],
  shapes: Shapes,
): Shapes {
  const sizes = new Map<string, number>();
  for (const [i, { shape }] of from.entries()) {
    for (const [axis, dim] of shape.entries()) {
      if (typeof dim === 'number') continue;
      sizes.set(dim, shapes[i]![axis]!);
    }
  }
  const sizeOfSymbol = (name: string): number => {
    const known = sizes.get(name);
    if (known !== undefined) return known;
    for (const [dim, size] of sizes) {
      const symbol = soleSymbol(dim);
      if (symbol?.name === name) return symbol.sizeBy(size);
    }
    throw new CxmindError('INTERNAL', `no input has dimension ${name}`);
  };
  // An input may have a whole expression as its dimension, such as `P+T`, and none of its symbols.
  const sizeOf = (dim: Dim): number => sizes.get(String(dim)) ?? sizeOfDim(dim, sizeOfSymbol);
  return wanted.map(({ shape }) => shape.map(sizeOf));
}

/** The axis counted from the front; throws SHAPE_MISMATCH when it is not one of the value's. */
export function axisOf(op: string, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || result < 0 || result >= rank) {
    throw new CxmindError('SHAPE_MISMATCH', `${op}: axis ${axis} of a value with ${rank} axes`);
  }
  return result;
}

/** A SHAPE_MISMATCH that names the op and the shapes it was given. */
export function shapeError(op: string, what: string, inputs: readonly ValueType[]): CxmindError {
  const shapes = inputs.map((input) => formatShape(input.shape)).join(' · ');
  return new CxmindError('SHAPE_MISMATCH', `${op}: ${what}, got ${shapes}`, {
    detail: { op, shapes: inputs.map((input) => input.shape) },
  });
}

/** A DTYPE_MISMATCH that names the op and the dtypes it was given. */
export function dtypeError(op: string, what: string, inputs: readonly ValueType[]): CxmindError {
  const dtypes = inputs.map((input) => input.dtype);
  return new CxmindError('DTYPE_MISMATCH', `${op}: ${what}, got ${dtypes.join(' · ')}`, {
    detail: { op, dtypes },
  });
}
