import { bf16ToNumber, numberToBf16 } from '../../src/tensor/dtype.ts';
import type { Element } from './call.ts';
import type { Reduction } from './communicator.ts';
import type { Elements } from './elements.ts';

type Floats = Float32Array | Float16Array;

/** Elements done at a time, so that what a pass leaves is still in the cache for the next. */
const BLOCK = 4096;

/**
 * `out[i]` is the reduction of `sources[k][i]` over all `k`, in the order of `k`, so that equal inputs give
 * equal bits on every rank. All are of one length; `out` may be one of the sources.
 *
 * Floats add up in f32 or better and are rounded once at the end. Integer sums wrap; an integer mean is
 * the wrapped sum divided, rounded towards zero.
 */
export function reduceInto(
  dtype: Element,
  reduction: Reduction,
  out: Elements,
  sources: readonly Elements[],
): void {
  if (dtype === 'i64') {
    reduceBig(reduction, out as BigInt64Array, sources as readonly BigInt64Array[]);
  } else if (dtype === 'i32') {
    reduceInt(reduction, out as Int32Array, sources as readonly Int32Array[]);
  } else if (dtype === 'f32') {
    reduceF32(reduction, out as Float32Array, sources as readonly Float32Array[]);
  } else {
    reduceHalf(dtype, reduction, out, sources);
  }
}

function reduceF32(
  reduction: Reduction,
  out: Float32Array,
  sources: readonly Float32Array[],
): void {
  const [a, b, c, d] = sources;
  for (let start = 0; start < out.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, out.length);
    if (reduction === 'max' || sources.length === 1 || sources.length > 4) {
      foldFloats(reduction, out, sources, start, end);
    } else if (sources.length === 2) {
      addTwo(out, a!, b!, start, end);
    } else if (sources.length === 3) {
      addThree(out, a!, b!, c!, start, end);
    } else {
      addFour(out, a!, b!, c!, d!, start, end);
    }
    if (reduction === 'mean') divide(out, sources.length, start, end);
  }
}

type F32 = Float32Array;

/** Four at a time: the loop's own work is as much as an addition's. */
function addTwo(out: F32, a: F32, b: F32, start: number, end: number): void {
  let i = start;
  for (; i + 3 < end; i += 4) {
    out[i] = a[i]! + b[i]!;
    out[i + 1] = a[i + 1]! + b[i + 1]!;
    out[i + 2] = a[i + 2]! + b[i + 2]!;
    out[i + 3] = a[i + 3]! + b[i + 3]!;
  }
  for (; i < end; i++) out[i] = a[i]! + b[i]!;
}

function addThree(out: F32, a: F32, b: F32, c: F32, start: number, end: number): void {
  for (let i = start; i < end; i++) out[i] = a[i]! + b[i]! + c[i]!;
}

function addFour(out: F32, a: F32, b: F32, c: F32, d: F32, start: number, end: number): void {
  for (let i = start; i < end; i++) out[i] = a[i]! + b[i]! + c[i]! + d[i]!;
}

function divide(out: Float32Array, by: number, start: number, end: number): void {
  for (let i = start; i < end; i++) out[i] = out[i]! / by;
}

/** One source after the other, over a block whose sum is kept apart: `out` may be any of the sources. */
function foldFloats(
  reduction: Reduction,
  out: Float32Array,
  sources: readonly Floats[],
  start: number,
  end: number,
): void {
  const sum = new Float32Array(end - start);
  sum.set(sources[0]!.subarray(start, end));
  for (const source of sources.slice(1)) accumulate(reduction, sum, source.subarray(start, end));
  out.set(sum, start);
}

function accumulate(reduction: Reduction, into: Float32Array, from: Floats): void {
  if (reduction === 'max') {
    for (let i = 0; i < into.length; i++) into[i] = Math.max(into[i]!, from[i]!);
  } else {
    for (let i = 0; i < into.length; i++) into[i] = into[i]! + from[i]!;
  }
}

/** Makes sums of `count` values means, as `reduceInto` would have. */
export function divideBy(dtype: 'f32' | 'i32' | 'i64', sums: Elements, count: number): void {
  if (dtype === 'i64') {
    const values = sums as BigInt64Array;
    for (let i = 0; i < values.length; i++) values[i] = values[i]! / BigInt(count);
  } else {
    const values = sums as Float32Array | Int32Array;
    // Storing into an Int32Array rounds towards zero.
    for (let i = 0; i < values.length; i++) values[i] = values[i]! / count;
  }
}

/** f16 and bf16, by way of f32 blocks. */
function reduceHalf(
  dtype: 'f16' | 'bf16',
  reduction: Reduction,
  out: Elements,
  sources: readonly Elements[],
): void {
  const sum = new Float32Array(BLOCK);
  const next = new Float32Array(BLOCK);
  for (let start = 0; start < out.length; start += BLOCK) {
    const length = Math.min(BLOCK, out.length - start);
    sources.forEach((source, k) => {
      widen(dtype, source, start, (k === 0 ? sum : next).subarray(0, length));
      if (k > 0) accumulate(reduction, sum.subarray(0, length), next.subarray(0, length));
    });
    if (reduction === 'mean') divide(sum, sources.length, 0, length);
    narrow(dtype, sum.subarray(0, length), out, start);
  }
}

/** Elements `start` and on of a half-precision array as f32, as many as `into` holds. */
export function widen(
  dtype: 'f16' | 'bf16',
  from: Elements,
  start: number,
  into: Float32Array,
): void {
  if (dtype === 'f16') {
    into.set((from as Float16Array).subarray(start, start + into.length));
  } else {
    const bits = from as Uint16Array;
    for (let i = 0; i < into.length; i++) into[i] = bf16ToNumber(bits[start + i]!);
  }
}

/** The other way round, rounding to nearest, ties to even. */
export function narrow(
  dtype: 'f16' | 'bf16',
  from: Float32Array,
  into: Elements,
  start: number,
): void {
  if (dtype === 'f16') {
    (into as Float16Array).set(from, start);
  } else {
    const bits = into as Uint16Array;
    for (let i = 0; i < from.length; i++) bits[start + i] = numberToBf16(from[i]!);
  }
}

function reduceInt(reduction: Reduction, out: Int32Array, sources: readonly Int32Array[]): void {
  const count = sources.length;
  for (let i = 0; i < out.length; i++) {
    let value = sources[0]![i]!;
    for (let k = 1; k < count; k++) {
      const next = sources[k]![i]!;
      value = reduction === 'max' ? Math.max(value, next) : (value + next) | 0;
    }
    out[i] = reduction === 'mean' ? Math.trunc(value / count) : value;
  }
}

function reduceBig(
  reduction: Reduction,
  out: BigInt64Array,
  sources: readonly BigInt64Array[],
): void {
  const count = sources.length;
  for (let i = 0; i < out.length; i++) {
    let value = sources[0]![i]!;
    for (let k = 1; k < count; k++) {
      const next = sources[k]![i]!;
      if (reduction !== 'max') value = BigInt.asIntN(64, value + next);
      else if (next > value) value = next;
    }
    out[i] = reduction === 'mean' ? value / BigInt(count) : value;
  }
}
