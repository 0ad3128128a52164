import assert from 'node:assert/strict';
import { Runtime } from '../../../src/ort/runtime.ts';
import { Rng, keyOf } from '../../../src/rng.ts';
import { zeros, type Tensor } from '../../../src/tensor/tensor.ts';
import { assertClose } from '../../support/assert-close.ts';
import { onnxModel } from '../../support/onnx-model.ts';

const accumulate = onnxModel(
  { a: ['f32', ['K', 'M']], b: ['f32', ['K', 'N']], c: ['f32', ['M', 'N']] },
  { y: ['f32', ['M', 'N']] },
  [{ op: 'Gemm', inputs: ['a', 'b', 'c'], outputs: ['y'], attributes: { transA: 1 } }],
);

/** Small whole numbers: their products and sums are exact in f32, in whatever order they are added. */
function wholeNumbers(rng: Rng, shape: readonly number[]): Tensor<'f32'> {
  const tensor = zeros('f32', shape);
  for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = rng.nextBelow(9) - 4;
  return tensor;
}

/** `runs · aᵀb`, exact. */
function scaledProduct(a: Tensor<'f32'>, b: Tensor<'f32'>, runs: number): Float32Array {
  const [k = 0, m = 0] = a.shape;
  const n = b.shape[1]!;
  const y = new Float32Array(m * n);
  for (let i = 0; i < k; i++) {
    for (let row = 0; row < m; row++) {
      const scale = runs * a.data[i * m + row]!;
      for (let column = 0; column < n; column++) {
        y[row * n + column]! += scale * b.data[i * n + column]!;
      }
    }
  }
  return y;
}

describe('operators that write where they read', () => {
  const runtime = new Runtime({ threads: 2 });
  after(() => {
    runtime[Symbol.dispose]();
  });

  it('Gemm adds a product to a buffer bound both as C and as Y', () => {
    using session = runtime.compile(accumulate, { name: 'accumulate' });
    const rng = new Rng(keyOf('in-place', 1));
    const sizes = [1, 2, 3, 7, 16, 33, 64, 100, 129];
    for (const m of sizes) {
      for (const n of sizes) {
        const k = sizes[rng.nextBelow(sizes.length)]!;
        const [a, b, sum] = [
          wholeNumbers(rng, [k, m]),
          wholeNumbers(rng, [k, n]),
          zeros('f32', [m, n]),
        ];
        using binding = session.bind().input('a', a).input('b', b).input('c', sum).output('y', sum);
        for (let run = 0; run < 3; run++) binding.run();
        assert.deepEqual(sum.data, scaledProduct(a, b, 3), `m ${m}, n ${n}, k ${k}`);
      }
    }
  });

  it('Gemm accumulates exactly over many runs of a large product on two threads', () => {
    using session = runtime.compile(accumulate, { name: 'accumulate' });
    const rng = new Rng(keyOf('in-place', 2));
    const [a, b, sum] = [
      wholeNumbers(rng, [96, 257]),
      wholeNumbers(rng, [96, 513]),
      zeros('f32', [257, 513]),
    ];
    using binding = session.bind().input('a', a).input('b', b).input('c', sum).output('y', sum);
    for (let run = 0; run < 30; run++) binding.run();
    assert.deepEqual(sum.data, scaledProduct(a, b, 30));
  });

  it('ScatterElements that adds gives the same sums in every run when indices repeat', () => {
    const model = onnxModel(
      { x: ['f32', ['R', 'D']], index: ['i64', ['T', 'D']], updates: ['f32', ['T', 'D']] },
      { y: ['f32', ['R', 'D']] },
      [
        {
          op: 'ScatterElements',
          inputs: ['x', 'index', 'updates'],
          outputs: ['y'],
          attributes: { axis: 0, reduction: 'add' },
        },
      ],
    );
    using session = runtime.compile(model, { name: 'scatter' });
    const [tableRows, tokens, width] = [16, 2048, 32] as const;
    const rng = new Rng(keyOf('in-place', 4));
    const index = zeros('i64', [tokens, width]);
    const updates = zeros('f32', [tokens, width]);
    const expected = new Float64Array(tableRows * width);
    for (let t = 0; t < tokens; t++) {
      const row = rng.nextBelow(tableRows);
      for (let d = 0; d < width; d++) {
        index.data[t * width + d] = BigInt(row);
        updates.data[t * width + d] = rng.nextNormal();
        expected[row * width + d]! += updates.data[t * width + d]!;
      }
    }
    const y = zeros('f32', [tableRows, width]);
    using binding = session
      .bind()
      .input('x', zeros('f32', y.shape))
      .input('index', index)
      .input('updates', updates)
      .output('y', y);
    binding.run();
    const first = y.data.slice();
    assertClose(first, expected, { rtol: 1e-4, atol: 1e-4 });
    for (let run = 1; run < 30; run++) {
      y.data.fill(NaN);
      binding.run();
      assert.deepEqual(y.data, first, `run ${run}`);
    }
  });
});
