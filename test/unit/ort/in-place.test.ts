import assert from 'node:assert/strict';
import { Runtime } from '../../../src/ort/runtime.ts';
import { Rng, keyOf } from '../../../src/rng.ts';
import { tensorOf, zeros, type Tensor } from '../../../src/tensor/tensor.ts';
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
  const runtime = Runtime.open({ threads: 2 });
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

  it('GroupQueryAttention appends to a cache bound both as past and as present', () => {
    const [batch, heads, kvHeads, width, capacity] = [2, 4, 2, 8, 12] as const;
    const cacheShape = ['B', kvHeads, capacity, width] as const;
    const model = onnxModel(
      {
        q: ['f32', ['B', 'T', heads * width]],
        k: ['f32', ['B', 'T', kvHeads * width]],
        v: ['f32', ['B', 'T', kvHeads * width]],
        pastKey: ['f32', cacheShape],
        pastValue: ['f32', cacheShape],
        seqlensK: ['i32', ['B']],
        total: ['i32', []],
      },
      {
        y: ['f32', ['B', 'T', heads * width]],
        key: ['f32', cacheShape],
        value: ['f32', cacheShape],
      },
      [
        {
          op: 'GroupQueryAttention',
          domain: 'com.microsoft',
          inputs: ['q', 'k', 'v', 'pastKey', 'pastValue', 'seqlensK', 'total'],
          outputs: ['y', 'key', 'value'],
          attributes: { num_heads: heads, kv_num_heads: kvHeads },
        },
      ],
    );
    using session = runtime.compile(model, { name: 'attention' });
    const rng = new Rng(keyOf('in-place', 3));
    const key = zeros('f32', [batch, kvHeads, capacity, width]);
    const value = zeros('f32', key.shape);
    const seen: { k: Tensor<'f32'>; v: Tensor<'f32'> }[] = [];
    using binding = session.bind();
    binding
      .input('pastKey', key)
      .output('key', key)
      .input('pastValue', value)
      .output('value', value);
    for (let past = 0; past < capacity; past++) {
      const q = wholeNumbers(rng, [batch, 1, heads * width]);
      const k = wholeNumbers(rng, [batch, 1, kvHeads * width]);
      const v = wholeNumbers(rng, [batch, 1, kvHeads * width]);
      const y = zeros('f32', q.shape);
      seen.push({ k, v });
      binding
        .input('q', q)
        .input('k', k)
        .input('v', v)
        .input('seqlensK', tensorOf('i32', [batch], [past, past]))
        .input('total', tensorOf('i32', [], [past + 1]))
        .output('y', y)
        .run();
      assertClose(y.data, attend(q, seen, heads, kvHeads, width), { rtol: 1e-5, atol: 1e-5 });
      for (let b = 0; b < batch; b++) {
        for (let h = 0; h < kvHeads; h++) {
          const at = ((b * kvHeads + h) * capacity + past) * width;
          const from = (b * kvHeads + h) * width;
          assert.deepEqual(key.data.slice(at, at + width), k.data.slice(from, from + width));
          assert.deepEqual(value.data.slice(at, at + width), v.data.slice(from, from + width));
        }
      }
    }
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

/** Softmax attention of one new token per row over all tokens seen, in f64. */
function attend(
  q: Tensor<'f32'>,
  seen: readonly { k: Tensor<'f32'>; v: Tensor<'f32'> }[],
  heads: number,
  kvHeads: number,
  width: number,
): Float64Array {
  const batch = q.shape[0]!;
  const y = new Float64Array(q.data.length);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const from = (b * heads + h) * width;
      const kvFrom = (b * kvHeads + Math.floor((h * kvHeads) / heads)) * width;
      const scores = seen.map(({ k }) => {
        let dot = 0;
        for (let d = 0; d < width; d++) dot += q.data[from + d]! * k.data[kvFrom + d]!;
        return dot / Math.sqrt(width);
      });
      const most = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - most));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      seen.forEach(({ v }, token) => {
        for (let d = 0; d < width; d++) {
          y[from + d]! += (weights[token]! / sum) * v.data[kvFrom + d]!;
        }
      });
    }
  }
  return y;
}
