import assert from 'node:assert/strict';
import { differentiate } from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { encode } from '../../../src/graph/encode.ts';
import { interpret } from '../../../src/graph/interpret.ts';
import type { Dim, Graph, Value } from '../../../src/graph/ir.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { sizeOf, tensorOf, zeros, type Tensor } from '../../../src/tensor/tensor.ts';
import { assertClose } from '../../support/assert-close.ts';
import { runSession } from '../../support/run-session.ts';

const [width, heads, headDim, inner] = [16, 4, 4, 24];

/** A decoder layer over one sequence, as the model writes it, its parameters behind a prefix. */
function layer(g: GraphBuilder, x: Value, prefix: string, tables: readonly [Value, Value]): Value {
  const weight = (name: string, shape: number[]): Value =>
    g.input(`${prefix}.${name}`, 'f32', shape);
  const qkv = g.linear(
    g.rmsNorm(x, weight('norm1', [width]), 1e-6),
    weight('qkv', [3 * width, width]),
    weight('bias', [3 * width]),
  );
  const [q, k, v] = g
    .split(qkv, [width, width, width], 1)
    .map((part) => g.reshape(part, ['T', heads, headDim])) as [Value, Value, Value];
  const byHead = (part: Value): Value => g.transpose(part, [1, 0, 2]);
  const [query, key] = [q, k].map((part) => byHead(g.rotary(part, ...tables))) as [Value, Value];
  const scores = g.mul(g.matMul(query, key, { transB: true }), g.scalar(1 / Math.sqrt(headDim)));
  const mixed = g.reshape(g.transpose(g.attend(scores, byHead(v)), [1, 0, 2]), ['T', width]);
  const residual = g.add(x, g.linear(mixed, weight('out', [width, width])));
  const normed = g.rmsNorm(residual, weight('norm2', [width]), 1e-6);
  const gate = g.linear(normed, weight('gate', [inner, width]));
  const up = g.linear(normed, weight('up', [inner, width]));
  return g.add(residual, g.linear(g.mul(g.silu(gate), up), weight('down', [width, inner])));
}

function layers(count: number): { graph: Graph; parameters: string[] } {
  const g = new GraphBuilder('layers');
  const x = g.input('x', 'f32', ['T', width]);
  const tables = [
    g.input('cos', 'f32', ['T', headDim / 2]),
    g.input('sin', 'f32', ['T', headDim / 2]),
  ] as const;
  let y = x;
  for (let i = 0; i < count; i++) y = layer(g, y, `layer${i}`, tables);
  g.output('y', y);
  const graph = g.build();
  const names = graph.inputs.map((input) => input.name);
  return { graph, parameters: names.filter((name) => name.startsWith('layer')) };
}

const rng = new Rng(keyOf('backward test'));
const normal = (shape: readonly number[], scale = 1): Tensor => {
  const numbers = Float32Array.from({ length: sizeOf(shape) }, () => rng.nextNormal() * scale);
  return tensorOf('f32', shape, numbers);
};
function randomInputs({ inputs }: Graph, T: number): Record<string, Tensor> {
  const sizeOfDim = (dim: Dim): number => (typeof dim === 'number' ? dim : T);
  return Object.fromEntries(
    inputs.map(({ name, shape }) => [name, normal(shape.map(sizeOfDim), 1 / 4)]),
  );
}

const number = (value: number): Tensor => tensorOf('f32', [], [value]);

const pick = (graph: Graph, tensors: Record<string, Tensor>): Record<string, Tensor> =>
  Object.fromEntries(graph.inputs.map(({ name }) => [name, tensors[name]!]));

const savedOf = (graph: Graph): string[] =>
  graph.outputs
    .filter(({ name }) => name.startsWith('saved.'))
    .map(({ value }) => value.name.replace(/_\d+$/, ''));

describe('differentiate', () => {
  let runtime: Runtime;
  before(() => (runtime = new Runtime()));
  after(() => runtime[Symbol.dispose]());

  it('gives one pair of sessions right for every number of tokens, saving or computing again', () => {
    const { graph, parameters } = layers(2);
    const wrt = ['x', ...parameters];
    const pairs = (['costly', 'nothing'] as const).map((save) =>
      differentiate(graph, { wrt, save }),
    );
    const sessions = pairs.map(({ forward, backward }) => ({
      forward: runtime.compile(encode(forward), { name: 'forward' }),
      backward: runtime.compile(encode(backward), { name: 'backward' }),
    }));
    for (const T of [1, 3, 8]) {
      const inputs = randomInputs(graph, T);
      const seed = randomInputs(graph, T)['x']!;
      const reference = pairs[1]!.backward;
      const expected = interpret(reference, pick(reference, { ...inputs, 'grad.y': seed }));
      pairs.forEach(({ forward, backward }, i) => {
        const outputs = runSession(sessions[i]!.forward, pick(forward, inputs));
        const given = { ...inputs, ...outputs, 'grad.y': seed };
        const gradients = runSession(sessions[i]!.backward, pick(backward, given));
        for (const name of wrt) {
          const [actual, wanted] = [gradients, expected].map((all) => all[`grad.${name}`]!.data);
          // f32 through two layers against double precision.
          assertClose(
            actual as Float32Array,
            wanted as Float32Array,
            { rtol: 1e-4, atol: 2e-5 },
            name,
          );
        }
      });
    }
    for (const { forward, backward } of sessions) {
      forward[Symbol.dispose]();
      backward[Symbol.dispose]();
    }
  });

  it('saves what is costly to compute again, and nothing that an input or a saved value gives', () => {
    const { graph, parameters } = layers(1);
    const { forward, backward } = differentiate(graph, {
      wrt: ['x', ...parameters],
      save: 'costly',
    });
    const saved = savedOf(forward);
    assert.deepEqual(saved.toSorted(), [
      'add', // residual
      'attend', // the weights; the mixed values follow
      'attend',
      'gemm', // gate
      'gemm', // up
      'rmsNorm', // reciprocal root mean squares, of both norms
      'rmsNorm',
      'transpose', // rotated queries and keys, and values, as the products read them
      'transpose',
      'transpose',
    ]);
    const costly = backward.nodes.filter((node) =>
      ['softmax', 'attend', 'rmsNorm'].includes(node.op),
    );
    assert.deepEqual(costly, []);
  });

  it('saves nothing when all is computed again from the inputs', () => {
    const { graph, parameters } = layers(1);
    const { forward, backward } = differentiate(graph, {
      wrt: ['x', ...parameters],
      save: 'nothing',
    });
    assert.deepEqual(savedOf(forward), []);
    assert.ok(backward.inputs.every(({ name }) => !name.startsWith('saved.')));
  });

  it('computes no gradient that is not asked for', () => {
    const { graph } = layers(1);
    const products = (wrt: string[]): number => {
      const { backward } = differentiate(graph, { wrt, save: 'costly' });
      return backward.nodes.filter((node) => node.op === 'gemm').length;
    };
    // The gradient of the last weight is one product; that of x passes all five and both norms.
    assert.equal(products(['layer0.down']), 1);
    assert.equal(products(['x']), 5 + 2);
  });

  it('adds to the gradients it is given, in their own memory', () => {
    const { graph, parameters } = layers(1);
    const wrt = ['x', ...parameters];
    const inputs: Record<string, Tensor> = {
      ...randomInputs(graph, 5),
      'grad.y': randomInputs(graph, 5)['x']!,
    };
    const plain = differentiate(graph, { wrt, save: 'nothing' }).backward;
    const adding = differentiate(graph, { wrt, save: 'nothing', accumulate: parameters }).backward;
    const once = interpret(plain, pick(plain, inputs));
    using session = runtime.compile(encode(adding), { name: 'adding' });
    using binding = session.bind();
    const totals = Object.fromEntries(
      parameters.map((name) => [name, zeros('f32', inputs[name]!.shape)]),
    );
    for (const { name } of adding.inputs) {
      const total = totals[name.replace('accum.', '')];
      binding.input(name, name.startsWith('accum.') ? total! : inputs[name]!);
    }
    binding.output('grad.x', zeros('f32', [5, width]));
    for (const name of parameters) binding.output(`grad.${name}`, totals[name]!);
    for (let run = 0; run < 3; run++) binding.run();
    for (const name of parameters) {
      const expected = (once[`grad.${name}`]!.data as Float32Array).map((value) => 3 * value);
      assertClose(totals[name]!.data, expected, { rtol: 1e-4, atol: 5e-5 }, name);
    }
  });

  it('adds a weight’s gradient inside the product that makes it, for each of its uses', () => {
    const g = new GraphBuilder('tied');
    const [x, w] = [g.input('x', 'f32', ['T', 4]), g.input('w', 'f32', [4, 4])];
    g.output('y', g.linear(g.tanh(g.linear(x, w)), w));
    const { backward } = differentiate(g.build(), {
      wrt: ['w'],
      save: 'costly',
      accumulate: ['w'],
    });
    const total = backward.inputs.find(({ name }) => name === 'accum.w')!;
    const readers = backward.nodes.filter((node) => node.inputs.includes(total));
    assert.equal(readers.length, 1);
    assert.equal(readers[0]!.op, 'gemm');
    assert.equal(backward.nodes.filter((node) => node.op === 'add').length, 0);
  });

  it('adds to memory that it is given, however often and in whatever ways a weight is used', () => {
    const g = new GraphBuilder('uses');
    const [x, ids] = [g.input('x', 'f32', ['T', 4]), g.input('ids', 'i64', ['T'])];
    const w = g.input('w', 'f32', [4, 4]);
    g.input('unused', 'f32', [3]);
    const half = g.mul(g.linear(x, w), g.scalar(0.5));
    const rows = g.gather(g.mul(w, g.tanh(w)), ids);
    const picked = g.mul(g.gather(w, ids), rows);
    g.output('y', g.add(g.linear(g.tanh(half), w), picked));
    g.output('unused', g.scalar(1));
    const wrt = ['w', 'unused'];
    const graph = g.build();
    const plain = differentiate(graph, { wrt, save: 'nothing' }).backward;
    const adding = differentiate(graph, { wrt, save: 'nothing', accumulate: wrt }).backward;
    for (const name of wrt) {
      const total = adding.inputs.find((input) => input.name === `accum.${name}`)!;
      const readers = adding.nodes.filter((node) => node.inputs.includes(total));
      assert.ok(readers.length <= 1, `${readers.length} nodes read accum.${name}`);
    }
    const product = adding.nodes.find(({ op, inputs }) => op === 'gemm' && inputs.length === 3);
    assert.ok(product !== undefined);
    const inputs: Record<string, Tensor> = {
      x: normal([4, 4]),
      w: normal([4, 4]),
      ids: tensorOf('i64', [4], [2n, 0n, 2n, 1n]),
      unused: zeros('f32', [3]),
      'grad.y': normal([4, 4]),
    };
    const once = interpret(plain, pick(plain, inputs));
    using session = runtime.compile(encode(adding), { name: 'uses' });
    using binding = session.bind();
    const totals = {
      w: tensorOf('f32', [4, 4], [...Array(16).keys()]),
      unused: tensorOf('f32', [3], [1, 2, 3]),
    };
    for (const { name } of adding.inputs) {
      const total = totals[name.replace('accum.', '') as keyof typeof totals];
      binding.input(name, name.startsWith('accum.') ? total : inputs[name]!);
    }
    for (const [name, total] of Object.entries(totals)) binding.output(`grad.${name}`, total);
    for (let run = 0; run < 3; run++) binding.run();
    const gradient = once['grad.w']!.data as Float32Array;
    assertClose(
      totals.w.data,
      gradient.map((value, i) => i + 3 * value),
      { rtol: 1e-4, atol: 1e-5 },
    );
    assert.deepEqual([...totals.unused.data], [1, 2, 3]);
  });

  it('differentiates a graph far deeper than the call stack', () => {
    const depth = 3000;
    const g = new GraphBuilder('deep');
    const x = g.input('x', 'f32', []);
    let y = x;
    for (let i = 0; i < depth; i++) y = g.add(g.neg(y), x);
    g.output('y', y);
    const options = { wrt: ['x'], save: 'nothing', accumulate: ['x'] } as const;
    const { backward } = differentiate(g.build(), options);
    const given = { x: number(3), 'grad.y': number(5), 'accum.x': number(7) };
    // y is x less x, over and over, and the depth is even: y = x.
    assert.equal(interpret(backward, pick(backward, given))['grad.x']!.data[0], 5 + 7);
  });

  it('adds an embedding’s gradient where its rows are', () => {
    const g = new GraphBuilder('embedding');
    const [table, ids] = [g.input('table', 'f32', [9, 4]), g.input('ids', 'i64', ['T'])];
    g.output('y', g.gather(table, ids));
    const options = { wrt: ['table'], save: 'costly', accumulate: ['table'] } as const;
    const { backward } = differentiate(g.build(), options);
    const sum = backward.nodes.find((node) => node.op === 'addRows')!;
    assert.equal(sum.inputs[0]!.name, 'accum.table');
  });

  it('gives zeros to an input that no output depends on', () => {
    const g = new GraphBuilder('unused');
    const [x, z] = [g.input('x', 'f32', ['T']), g.input('z', 'f32', ['T', 2])];
    g.output('y', g.mul(x, x));
    const { backward } = differentiate(g.build(), { wrt: ['x', 'z'], save: 'costly' });
    const given = { x: tensorOf('f32', [2], [3, 4]), 'grad.y': tensorOf('f32', [2], [1, 10]) };
    const gradients = interpret(backward, pick(backward, { ...given, z: zeros('f32', [2, 2]) }));
    assert.deepEqual([...gradients['grad.x']!.data], [6, 80]);
    assert.deepEqual([...gradients['grad.z']!.data], [0, 0, 0, 0]);
    assert.equal(z.shape[0], 'T');
  });

  it('takes sizes from an input whose dimension is an expression', () => {
    for (const dim of ['T*2', 'T+1', 'P+T']) {
      const g = new GraphBuilder('expression');
      g.output('y', g.reduceMean(g.input('x', 'f32', [dim, 1]), [0]));
      const { backward } = differentiate(g.build(), { wrt: ['x'], save: 'costly' });
      using session = runtime.compile(encode(backward), { name: dim });
      const given = { x: zeros('f32', [4, 1]), 'grad.y': tensorOf('f32', [1], [2]) };
      for (const { 'grad.x': gradient } of [
        interpret(backward, given),
        runSession(session, given),
      ]) {
        assert.deepEqual([...gradient!.data], [0.5, 0.5, 0.5, 0.5]);
      }
    }
  });

  it("takes a size from an output's gradient where inputs have expressions alone", () => {
    const g = new GraphBuilder('gradient');
    const y = g.reshape(g.input('x', 'f32', ['T*2', 1]), ['T', 2]);
    g.output('y', y);
    g.output('s', g.reduceSum(g.exp(g.concat([y, g.input('w', 'f32', [1, 2])], 0)), [0, 1]));
    const { backward } = differentiate(g.build(), { wrt: ['x'], save: 'nothing' });
    const given = {
      x: zeros('f32', [4, 1]),
      w: zeros('f32', [1, 2]),
      'grad.s': number(3),
      'grad.y': tensorOf('f32', [2, 2], [1, 2, 3, 4]),
    };
    const gradients = interpret(backward, pick(backward, given));
    assert.deepEqual([...gradients['grad.x']!.data], [4, 5, 6, 7]);
  });

  it('adds up the gradients of several outputs', () => {
    const g = new GraphBuilder('outputs');
    const x = g.input('x', 'f32', []);
    g.output('square', g.mul(x, x));
    g.output('cube', g.mul(g.mul(x, x), x));
    g.output('itself', x);
    const { backward } = differentiate(g.build(), { wrt: ['x'], save: 'costly' });
    const gradients = interpret(backward, {
      x: number(3),
      'grad.square': number(1),
      'grad.cube': number(10),
      'grad.itself': number(100),
    });
    assert.equal(gradients['grad.x']!.data[0], 6 + 270 + 100);
  });

  it('refuses names that are not float inputs', () => {
    const g = new GraphBuilder('names');
    g.output('y', g.gather(g.input('x', 'f32', [4, 2]), g.input('i', 'i64', ['T'])));
    const graph = g.build();
    for (const name of ['y', 'i', 'nothing']) {
      assert.throws(() => differentiate(graph, { wrt: [name], save: 'costly' }), {
        code: 'GRAPH_INVALID',
      });
    }
    assert.throws(() => differentiate(graph, { wrt: ['x'], save: 'costly', accumulate: ['i'] }), {
      code: 'GRAPH_INVALID',
    });
  });
});
