import { rows, type Tensor } from '../../tensor/tensor.ts';
import { loraA, loraB, type Adapter } from './adapter.ts';
import type { Arena } from '../weights/arena.ts';

/** Rows of A that one pass adds to a row of a weight. */
const RANKS_AT_ONCE = 4;

/**
 * A parameter with its adapter merged: `W + alpha / rank · B A`.
 *
 * A parameter without an adapter is the arena's own view. One with an adapter is computed at every read of its data, so
 * that only one weight at a time is in memory twice.
 */
export function mergedTensor(name: string, weights: Arena, adapter: Adapter | null): Tensor<'f32'> {
  const weight = weights.tensor(name);
  const module = name.replace(/\.weight$/, '');
  if (adapter?.arena.has(loraA(module)) !== true) return weight;
  const { dtype, shape } = weight;
  return {
    dtype,
    shape,
    get data() {
      return merged(weight, module, adapter);
    },
  };
}

function merged(
  weight: Tensor<'f32'>,
  module: string,
  { spec, arena }: Adapter,
): Tensor<'f32'>['data'] {
  const a = arena.tensor(loraA(module)); // [r, in]
  const b = arena.tensor(loraB(module)); // [out, r]
  const [rank, width] = a.shape as [number, number];
  const scale = spec.alpha / spec.rank;
  const result = weight.data.slice();
  for (let first = 0; first < rank; first += RANKS_AT_ONCE) {
    const rowOf = (k: number): Tensor<'f32'>['data'] => {
      // After the last row, the last one is taken again, times zero.
      const row = Math.min(first + k, rank - 1);
      return rows(a, row, row + 1).data;
    };
    const [a0, a1, a2, a3] = [rowOf(0), rowOf(1), rowOf(2), rowOf(3)];
    for (let out = 0; out * width < result.length; out++) {
      const factor = (k: number): number =>
        first + k < rank ? scale * b.data[out * rank + first + k]! : 0;
      const [b0, b1, b2, b3] = [factor(0), factor(1), factor(2), factor(3)];
      const row = result.subarray(out * width, (out + 1) * width);
      for (let i = 0; i < width; i++) {
        row[i]! += b0 * a0[i]! + b1 * a1[i]! + b2 * a2[i]! + b3 * a3[i]!;
      }
    }
  }
  return result;
}
