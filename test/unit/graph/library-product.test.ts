import assert from 'node:assert/strict';
import type { NdArray } from '../../../src/graph/ops/array.ts';
import { sizeOf } from '../../../src/tensor/tensor.ts';
import { linalg } from '../../../src/graph/ops/linalg.ts';
import { libraryProduct } from '../../../src/graph/ops/product-batches.ts';

const counting = (shape: number[]): NdArray => ({
  dtype: 'f32',
  shape,
  data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => (i % 7) - 3),
});

describe('libraryProduct', () => {
  const cases: { a: number[]; b: number[]; transA?: boolean; transB?: boolean; calls: number }[] = [
    { a: [2, 3], b: [3, 4], calls: 1 },
    { a: [3, 2], b: [4, 3], transA: true, transB: true, calls: 1 },
    { a: [5, 6, 2, 3], b: [5, 6, 3, 4], calls: 1 },
    { a: [5, 2, 3], b: [3, 4], calls: 1 },
    { a: [5, 3, 2], b: [3, 4], transA: true, calls: 1 },
    { a: [2, 1, 2, 3], b: [1, 3, 4, 3], transB: true, calls: 2 },
    { a: [2, 3, 4, 2, 3], b: [3, 1, 3, 2], calls: 6 },
    { a: [0, 2, 3], b: [0, 3, 4], calls: 1 },
  ];
  for (const { a, b, transA = false, transB = false, calls } of cases) {
    it(`walks [${a.join(', ')}] by [${b.join(', ')}] in ${calls}`, () => {
      const attributes = { transA, transB, alpha: 2 };
      const [left, right] = [counting(a), counting(b)];
      const [expected] = linalg.matMul.evaluate([left, right], attributes, () => undefined);
      const batches = libraryProduct(attributes).batches([a, b], [expected!.shape]);
      const y = new Float64Array(expected!.data.length).fill(NaN);
      for (const { m, n, k, count, offsets, strides } of batches) {
        for (let at = 0; at < count * m * n; at++) {
          const [batch, i, j] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
          const [fromA, fromB, to] = offsets.map((offset, o) => offset + batch * strides[o]!);
          let sum = 0;
          for (let l = 0; l < k; l++) {
            const ofA = left.data[fromA! + (transA ? l * m + i : i * k + l)]!;
            sum += ofA * right.data[fromB! + (transB ? j * k + l : l * n + j)]!;
          }
          y[to! + i * n + j] = 2 * sum;
        }
      }
      assert.deepEqual([...y], [...expected!.data]);
      assert.equal(batches.length, calls);
    });
  }
});
