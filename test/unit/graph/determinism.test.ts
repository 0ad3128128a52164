import assert from 'node:assert/strict';
import { differentiate } from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { encode } from '../../../src/graph/encode.ts';
import { interpret } from '../../../src/graph/interpret.ts';
import type { Graph, Value } from '../../../src/graph/ir.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { assertClose } from '../../support/assert-close.ts';

const rng = new Rng(keyOf('determinism'));
const normal = (shape: number[]): Tensor =>
  tensorOf(
    'f32',
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.nextNormal()),
  );
const repeated = (shape: number[], below: number): Tensor =>
  tensorOf(
    'i64',
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.nextBelow(below)),
  );

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
  before(() => (runtime = Runtime.open({ threads: 2 })));
  after(() => runtime[Symbol.dispose]());

  for (const [name, { build, inputs }] of Object.entries(cases)) {
    it(`${name}: thirty runs give the same bytes, and the right ones`, () => {
      const g = new GraphBuilder(name);
      g.output('y', build(g));
      const graph: Graph = g.build();
      const { backward } = differentiate(graph, { wrt: ['x'], save: 'inputs' });
      const shape = interpret(graph, inputs)['y']!.shape;
      const all: Record<string, Tensor> = { ...inputs, 'grad.y': normal([...shape]) };
      const given = Object.fromEntries(
        backward.inputs.map((input) => [input.name, all[input.name]!]),
      );
      using session = runtime.compile(encode(backward), { name });
      const first = session.run(given)['grad.x']!.data;
      const expected = interpret(backward, given)['grad.x']!.data;
      // Sums of about count / rows normal numbers, in single precision.
      assertClose(
        first as Float32Array,
        expected as Float32Array,
        { rtol: 1e-5, atol: 1e-3 },
        name,
      );
      for (let run = 1; run < 30; run++) {
        assert.deepEqual(session.run(given)['grad.x']!.data, first, `run ${run}`);
      }
    });
  }
});
