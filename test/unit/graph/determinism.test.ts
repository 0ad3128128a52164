import assert from 'node:assert/strict';
import { differentiate } from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { encode } from '../../../src/graph/encode.ts';
import { interpret } from '../../../src/graph/interpret.ts';
import type { Graph, Value } from '../../../src/graph/ir.ts';
import { addressOf } from '../../../src/native.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { viewOf, type DType } from '../../../src/tensor/dtype.ts';
import { sharedBuffer } from '../../../src/tensor/memory.ts';
import { sizeOf, tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { assertClose } from '../../support/assert-close.ts';
import { runSession } from '../../support/run-session.ts';

const rng = new Rng(keyOf('determinism'));
const drawn = (dtype: DType, shape: readonly number[], draw: () => number): Tensor =>
  tensorOf(dtype, shape, Array.from({ length: sizeOf(shape) }, draw));
const normal = (shape: readonly number[]): Tensor => drawn('f32', shape, () => rng.nextNormal());
const repeated = (shape: number[], below: number): Tensor =>
  drawn('i64', shape, () => rng.nextBelow(below));

const [rows, width, count] = [7, 64, 4096];

/** Ops whose gradient adds up elements that share an index, at sizes that ONNX Runtime splits over threads. */
const cases: Record<string, { build: (g: GraphBuilder) => Value; inputs: Record<string, Tensor> }> =
  {
    gather: {
      build: (g) => g.gather(g.input('x', 'f32', [rows, width]), g.input('i', 'i64', ['T'])),
      inputs: { x: normal([rows, width]), i: repeated([count], rows) },
    },
    'gather along the last axis': {
      build: (g) => g.gather(g.input('x', 'f32', [width, rows]), g.input('i', 'i64', ['T']), 1),
      inputs: { x: normal([width, rows]), i: repeated([count], rows) },
    },
    gatherElements: {
      build: (g) =>
        g.gatherElements(g.input('x', 'f32', [rows, width]), g.input('i', 'i64', ['T', width]), 0),
      inputs: { x: normal([rows, width]), i: repeated([count, width], rows) },
    },
  };

describe('gradients over repeated indices', () => {
  let runtime: Runtime;
  before(() => (runtime = new Runtime({ threads: 2 })));
  after(() => runtime[Symbol.dispose]());

  for (const [name, { build, inputs }] of Object.entries(cases)) {
    it(`${name}: thirty runs give the same bytes, and the right ones`, () => {
      const g = new GraphBuilder(name);
      g.output('y', build(g));
      const graph: Graph = g.build();
      const { backward } = differentiate(graph, { wrt: ['x'], save: 'nothing' });
      const shape = interpret(graph, inputs)['y']!.shape;
      const all: Record<string, Tensor> = { ...inputs, 'grad.y': normal(shape) };
      const given = Object.fromEntries(
        backward.inputs.map((input) => [input.name, all[input.name]!]),
      );
      using session = runtime.compile(encode(backward), { name });
      const first = runSession(session, given)['grad.x']!.data;
      const expected = interpret(backward, given)['grad.x']!.data;
      // Sums of about count / rows normal numbers, in single precision.
      assertClose(
        first as Float32Array,
        expected as Float32Array,
        { rtol: 1e-5, atol: 1e-3 },
        name,
      );
      for (let run = 1; run < 30; run++) {
        assert.deepEqual(runSession(session, given)['grad.x']!.data, first, `run ${run}`);
      }
    });
  }
});

/** Ops of models, row by row and over rows, at sizes that ONNX Runtime splits over threads. */
function modelOps(): Graph {
  const g = new GraphBuilder('placed');
  const x = g.input('x', 'f32', [61, 192]);
  const weight = g.input('weight', 'f32', [192]);
  const w = g.input('w', 'f32', [130, 192]);
  const normed = g.rmsNorm(x, weight, 1e-6);
  const product = g.linear(x, w);
  g.output('normed', normed);
  g.output('product', product);
  g.output('gradient', g.gemm(product, x, { transA: true }));
  g.output('single', g.linear(g.slice(x, { axis: 0, end: 1 }), w));
  g.output('logProbs', g.logSoftmax(x, -1));
  g.output('mixed', g.attend(g.matMul(x, x, { transB: true }), x));
  g.output('gated', g.silu(x));
  g.output('rowSums', g.reduceSum(x, [1], true));
  g.output('columnSums', g.reduceSum(x, [0], true));
  g.output('mean', g.reduceMean(x, [0, 1], true));
  return g.build();
}

describe('numbers', () => {
  it('are the same bytes wherever in memory a block begins', () => {
    using runtime = new Runtime({ threads: 2 });
    const graph = modelOps();
    using session = runtime.compile(encode(graph), { name: graph.name });
    const inputs = graph.inputs.map(({ name, shape }) => ({
      name,
      tensor: normal(shape as number[]),
    }));
    const outputsAt = (offset: number): Tensor[] => {
      using binding = session.bind();
      for (const { name, tensor } of inputs) {
        const moved = placed(tensor.shape, offset);
        moved.data.set(tensor.data as Float32Array);
        binding.input(name, moved);
      }
      const outputs = graph.outputs.map(({ name, value }) => {
        const output = placed(value.shape as number[], offset);
        binding.output(name, output);
        return output;
      });
      binding.run();
      return outputs;
    };
    const expected = outputsAt(0);
    for (const offset of [16, 32, 48]) {
      for (const [i, output] of outputsAt(offset).entries()) {
        assert.deepEqual(output.data, expected[i]!.data, `${graph.outputs[i]!.name} at ${offset}`);
      }
    }
  });
});

/** Zeros that lie `offset` bytes behind a multiple of 64; memory is allocated at multiples of 16. */
function placed(shape: readonly number[], offset: number): Tensor<'f32'> {
  const buffer = sharedBuffer((sizeOf(shape) + 32) * Float32Array.BYTES_PER_ELEMENT);
  const at = Number((64n - (addressOf(buffer) % 64n)) % 64n) + offset;
  return { dtype: 'f32', shape, data: viewOf('f32', buffer, at, sizeOf(shape)) };
}
