import type { LibraryProduct, ProductBatch } from '../kernel.ts';
import { broadcastShapes } from '../shape.ts';
import { broadcastStrides, walk } from './array.ts';
import type { ProductAttributes } from './linalg.ts';

/** A matrix product as calls of a device's library (cuBLAS). */
export function libraryProduct({ transA, transB, alpha }: ProductAttributes): LibraryProduct {
  return {
    transA,
    transB,
    alpha,
    batches: ([a, b], [y]) => batchesOf([a!, b!, y!], transA),
  };
}

type Sizes = readonly number[];

/** An axis of batches: its size, and the strides of both operands and the result along it. */
interface Axis {
  readonly size: number;
  readonly strides: readonly [number, number, number];
}

/** Merges the innermost axes of batches into those of one call, as far as their strides allow; the others are calls. */
function batchesOf([a, b, y]: readonly [Sizes, Sizes, Sizes], transA: boolean): ProductBatch[] {
  const [m, n] = y.slice(-2) as [number, number];
  const k = a.at(transA ? -2 : -1)!;
  const operands = [a, b].map((shape) => shape.slice(0, -2));
  const batch = broadcastShapes(operands) as number[];
  const sizes = [m * k, k * n, m * n];
  const strides = [...operands, batch].map((shape, i) =>
    broadcastStrides(shape, batch).map((stride) => stride * sizes[i]!),
  );
  const outer = batch.map((size, axis): Axis => {
    const [ofA, ofB, ofY] = strides.map((all) => all[axis]!) as [number, number, number];
    return { size, strides: [ofA, ofB, ofY] };
  });
  let inner = outer.pop() ?? { size: 1, strides: [0, 0, 0] };
  for (let next = outer.at(-1); next !== undefined; next = outer.at(-1)) {
    const { size, strides } = inner;
    if (!next.strides.every((stride, i) => stride === strides[i]! * size)) break;
    inner = { size: next.size * size, strides };
    outer.pop();
  }
  const batches: ProductBatch[] = [];
  const [ofA, ofB, ofY] = [0, 1, 2].map((i) => outer.map(({ strides }) => strides[i]!));
  const around = outer.map(({ size }) => size);
  walk(around, [ofA!, ofB!, ofY!], (_position, [atA, atB, atY]) => {
    const offsets = [atA!, atB!, atY!] as const;
    batches.push({ m, n, k, count: inner.size, offsets, strides: inner.strides });
  });
  return transA ? batches : batches.map(asOneProduct);
}

/** Makes one product of adjacent products by the same matrix. */
function asOneProduct(batch: ProductBatch): ProductBatch {
  const { m, n, k, count, strides } = batch;
  const [ofA, ofB, ofY] = strides;
  if (count === 1 || ofA !== m * k || ofB !== 0 || ofY !== m * n) return batch;
  return { ...batch, m: m * count, count: 1, strides: [0, 0, 0] };
}
