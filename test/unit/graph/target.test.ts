import assert from 'node:assert/strict';
import fc from 'fast-check';
import { differentiate } from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { checkGraph } from '../../../src/graph/check.ts';
import { encode } from '../../../src/graph/encode.ts';
import { interpret } from '../../../src/graph/interpret.ts';
import type { Graph, Value } from '../../../src/graph/ir.ts';
import { optimize } from '../../../src/graph/passes.ts';
import { cpu, lower, webgpu, type Target } from '../../../src/graph/target.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import type { FloatDType } from '../../../src/tensor/dtype.ts';
import { numbersOf } from '../../../src/tensor/numbers.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { runSession } from '../../support/run-session.ts';

const floatDTypes = ['f32', 'f16', 'bf16'] as const satisfies FloatDType[];

function graphOf(dtype: FloatDType, build: (g: GraphBuilder, x: Value) => Value): Graph {
  const g = new GraphBuilder('half');
  g.output('y', build(g, g.input('x', dtype, ['T'])));
  return g.build();
}

const opsOf = (graph: Graph): string[] => graph.nodes.map(({ op }) => op);

/** Ops whose result in f32, rounded to a half, is the half nearest to the exact one. */
const exact: readonly ((g: GraphBuilder, a: Value, b: Value) => Value)[] = [
  (g, a, b) => g.add(a, b),
  (g, a, b) => g.sub(a, b),
  (g, a, b) => g.mul(a, b),
  (g, a, b) => g.max(a, b),
  (g, a, b) => g.where(g.less(a, b), b, a),
  (g, a) => g.mul(a, g.scalar(0.1, a.dtype)),
  (g, a) => g.add(a, g.scalar(100, a.dtype)),
  (g, a) => g.clip(a, -1.1, 2.3),
  (g, a) => g.concat(g.split(a, [1, 2], 0).toReversed(), 0),
  ...floatDTypes.map((dtype) => (g: GraphBuilder, a: Value) => g.cast(a, dtype)),
];
const steps = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom(...exact)), {
  minLength: 1,
  maxLength: 24,
  size: 'max',
});

/** A graph over an input of each float dtype, every step on two values that are there already. */
function graphOfSteps(list: readonly [number, number, (typeof exact)[number]][]): Graph {
  const g = new GraphBuilder('steps');
  const values = floatDTypes.map((dtype) => g.input(dtype, dtype, [3]));
  for (const [first, second, step] of list) {
    const [a, b] = [values[first % values.length]!, values[second % values.length]!];
    values.push(step(g, a, g.cast(b, a.dtype)));
  }
  values.slice(3).forEach((value, i) => {
    g.output(`y${i}`, value);
  });
  return g.build();
}

describe('half precision', () => {
  let runtime: Runtime;
  before(() => (runtime = new Runtime()));
  after(() => runtime[Symbol.dispose]());

  /** A graph's results in a row, by the interpreter and by ONNX Runtime. */
  const bothOf = (
    graph: Graph,
    inputs: Record<string, Tensor>,
  ): { oracle: number[]; provider: number[] } => {
    using session = runtime.compile(encode(graph), { name: graph.name });
    const numbers = (outputs: Record<string, Tensor>): number[] =>
      graph.outputs.flatMap(({ name }) => [...numbersOf(outputs[name]!)]);
    return {
      oracle: numbers(interpret(graph, inputs)),
      provider: numbers(runSession(session, inputs)),
    };
  };

  it('is the same to the bit on the provider as in the interpreter, whatever is cast to what', () => {
    const numbers = fc.array(fc.float({ min: -4, max: 4, noNaN: true }), {
      minLength: 9,
      maxLength: 9,
    });
    fc.assert(
      fc.property(steps, numbers, (list, drawn) => {
        const graph = optimize(graphOfSteps(list));
        checkGraph(graph);
        checkGraph(lower(graph, cpu));
        const inputs = floatDTypes.map(
          (dtype, i) => [dtype, tensorOf(dtype, [3], drawn.slice(3 * i, 3 * i + 3))] as const,
        );
        const { oracle, provider } = bothOf(graph, Object.fromEntries(inputs));
        // Where and Max do as they like with the sign of zero, and Max with NaN.
        oracle.forEach((number, i) => {
          assert.ok(
            !Number.isFinite(number) || number === provider[i],
            `${number}: ${provider[i]}`,
          );
        });
      }),
      { numRuns: 40 },
    );
  });

  it('gives the nearest of its numbers for a formula with constants', () => {
    // gelu(1) = 0.841345, tanh(1) = 0.761594, sigmoid(1) = 0.731059, each as the nearest of 8 bits.
    for (const [formula, nearest] of [
      [(g, x) => g.gelu(x), 0.83984375],
      [(g, x) => g.tanh(x), 0.76171875],
      [(g, x) => g.sigmoid(x), 0.73046875],
    ] as [(g: GraphBuilder, x: Value) => Value, number][]) {
      const y = bothOf(graphOf('bf16', formula), { x: tensorOf('bf16', [1], [1]) });
      assert.deepEqual(y, { oracle: [nearest], provider: [nearest] });
    }
  });

  it('rounds after every op, on the provider as in the interpreter', () => {
    // 256 + 1 is between two numbers of bf16 and goes to the even one; 2048 + 1 likewise in f16.
    for (const [dtype, large] of [
      ['bf16', 256],
      ['f16', 2048],
    ] as const) {
      const graph = graphOf(dtype, (g, x) => g.sub(g.add(x, g.scalar(1, dtype)), x));
      const y = bothOf(graph, { x: tensorOf(dtype, [2], [large, 1]) });
      assert.deepEqual(y, { oracle: [0, 1], provider: [0, 1] }, dtype);
    }
  });

  it('overflows f16 where f32 would not', () => {
    const graph = graphOf('f16', (g, x) => g.div(g.mul(x, x), x));
    const y = bothOf(graph, { x: tensorOf('f16', [2], [300, 3]) });
    assert.deepEqual(y, { oracle: [Infinity, 3], provider: [Infinity, 3] });
  });

  it('keeps what a product accumulates when its result is f32', () => {
    const g = new GraphBuilder('wide');
    const x = g.input('x', 'bf16', [1, 3]);
    g.output('narrow', g.gemm(x, x, { transB: true }));
    g.output('wide', g.gemm(x, x, { transB: true, to: 'f32' }));
    g.output('batched', g.matMul(x, x, { transB: true, to: 'f32' }));
    const y = bothOf(g.build(), { x: tensorOf('bf16', [1, 3], [16, 1, 1]) });
    assert.deepEqual(y, { oracle: [258, 258, 258], provider: [258, 258, 258] });
    const z = bothOf(g.build(), { x: tensorOf('bf16', [1, 3], [16, 1, 0]) });
    assert.deepEqual(z, { oracle: [256, 257, 257], provider: [256, 257, 257] });
  });

  it('adds gradients up in f32, be they products, sums or rows, and flows them back in its own dtype', () => {
    const g = new GraphBuilder('trained');
    const ids = g.input('ids', 'i64', ['T']);
    const table = g.input('table', 'bf16', [4, 2]);
    const weight = g.input('weight', 'bf16', [2, 2]);
    const bias = g.input('bias', 'bf16', [2]);
    const x = g.add(g.gather(table, ids), g.input('x', 'bf16', ['T', 2]));
    g.output('y', g.add(g.linear(x, weight), bias));
    const trained = ['table', 'weight', 'bias'];
    const { backward } = differentiate(g.build(), {
      wrt: ['x', ...trained],
      save: 'nothing',
      accumulate: trained,
    });
    const dtypes = backward.outputs.map(({ name, value }) => [name, value.dtype]);
    assert.deepEqual(dtypes, [
      ['grad.x', 'bf16'],
      ['grad.table', 'f32'],
      ['grad.weight', 'f32'],
      ['grad.bias', 'f32'],
    ]);
    const half = (shape: number[], numbers: number[]): Tensor => tensorOf('bf16', shape, numbers);
    const given: Record<string, Tensor> = {
      ids: tensorOf('i64', [3], [1, 1, 1]),
      x: half([3, 2], [0, 0, 0, 0, 0, 0]),
      table: half([4, 2], [0, 0, 1, 1, 0, 0, 0, 0]),
      weight: half([2, 2], [1, 0, 0, 1]),
      bias: half([2], [0, 0]),
      'grad.y': half([3, 2], [256, 0, 1, 0, 1, 0]),
      'accum.table': tensorOf('f32', [4, 2], Array<number>(8).fill(1)),
      'accum.weight': tensorOf('f32', [2, 2], [1, 1, 1, 1]),
      'accum.bias': tensorOf('f32', [2], [1, 1]),
    };
    const inputs = Object.fromEntries(backward.inputs.map(({ name }) => [name, given[name]!]));
    const expected = [256, 0, 1, 0, 1, 0, 1, 1, 259, 1, 1, 1, 1, 1, 259, 259, 1, 1, 259, 1];
    assert.deepEqual(bothOf(backward, inputs), { oracle: expected, provider: expected });
  });
});

describe('lower', () => {
  const norm = graphOf('bf16', (g, x) =>
    g.rmsNorm(
      g.transpose(g.reshape(x, [1, 'T']), [1, 0]),
      g.constant(tensorOf('bf16', [1], [2])),
      1e-6,
    ),
  );

  it('puts casts around what the CPU provider does not compute, and no others', () => {
    assert.deepEqual(opsOf(lower(norm, cpu)), [
      'reshape',
      'transpose',
      'cast',
      'cast',
      'rmsNorm',
      'cast',
    ]);
  });

  it('widens what a product of halves gives, where the target has no product that gives f32', () => {
    const g = new GraphBuilder('widening');
    const x = g.input('x', 'f16', [1, 3]);
    const total = g.input('total', 'f32', [1, 1]);
    g.output('y', g.gemm(x, x, { transB: true, alpha: 2, to: 'f32', c: total }));
    const lowered = lower(g.build(), webgpu);
    checkGraph(lowered);
    assert.deepEqual(opsOf(lowered), ['gemm', 'cast', 'add']);
    const inputs = {
      x: tensorOf('f16', [1, 3], [32, 1, 0.5]),
      total: tensorOf('f32', [1, 1], [1]),
    };
    assert.deepEqual([...numbersOf(interpret(g.build(), inputs)['y']!)], [2051.5]);
    assert.deepEqual([...numbersOf(interpret(lowered, inputs)['y']!)], [2051]);
  });

  it('leaves a graph alone that needs nothing', () => {
    const single = graphOf('f32', (g, x) => g.cast(g.cast(g.exp(x), 'bf16'), 'f32'));
    const everything: Target = { name: 'everything', hasKernel: () => true };
    assert.equal(lower(single, cpu), single);
    assert.equal(lower(norm, everything), norm);
  });
});
