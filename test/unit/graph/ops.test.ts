import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  differentiate,
  type DifferentiateOptions,
  type ForwardAndBackward,
} from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { checkGraph } from '../../../src/graph/check.ts';
import { encode } from '../../../src/graph/encode.ts';
import { evaluate } from '../../../src/graph/interpret.ts';
import type { Dim, Graph, Value } from '../../../src/graph/ir.ts';
import { arrayOf, type NdArray } from '../../../src/graph/ops/array.ts';
import { ops, type OpName } from '../../../src/graph/ops/table.ts';
import { optimize } from '../../../src/graph/passes.ts';
import { evaluateDim } from '../../../src/graph/shape.ts';
import { cpu, lower } from '../../../src/graph/target.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import type { Session } from '../../../src/ort/session.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import type { FloatDType } from '../../../src/tensor/dtype.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { assertClose, type Tolerance } from '../../support/assert-close.ts';
import { roundingError } from '../../support/rounding-error.ts';
import { drawInput, opCases, symbols, type OpCase } from './op-cases.ts';

type Arrays = Record<string, NdArray>;

const floatDTypes: readonly FloatDType[] = ['f32', 'f16', 'bf16'];

interface Trial {
  readonly sizes: Record<string, number>;
  readonly seed: number;
}

const trials: fc.Arbitrary<Trial> = fc.record({
  sizes: fc.record(
    Object.fromEntries(symbols.map((symbol) => [symbol, fc.integer({ min: 2, max: 4 })])),
  ),
  seed: fc.integer(),
});

const sizeIn =
  (sizes: Readonly<Record<string, number>>) =>
  (dim: Dim): number =>
    evaluateDim(dim, {
      number: (value) => value,
      symbol: (name) => sizes[name]!,
      binary: (operator, a, b) => ({ '+': a + b, '-': a - b, '*': a * b, '/': a / b })[operator],
    });

function graphOf(
  name: string,
  { inputs, build }: OpCase,
  float: FloatDType,
  dimOf: (dim: Dim) => Dim,
): Graph {
  const g = new GraphBuilder(name);
  const values: Record<string, Value> = {};
  for (const [key, { dtype = float, shape }] of Object.entries(inputs)) {
    values[key] = g.input(key, dtype, shape.map(dimOf));
  }
  build(g, values, dimOf).forEach((value, i) => g.output(`y${i}`, value));
  const graph = g.build();
  checkGraph(graph);
  checkGraph(optimize(graph));
  return graph;
}

/** A case's graph and that of its gradients, as every pass leaves them. */
function differentiated(graph: Graph, options: DifferentiateOptions): ForwardAndBackward {
  const both = differentiate(graph, options);
  checkGraph(both.forward);
  checkGraph(both.backward);
  return both;
}

function arraysOf(
  name: string,
  { inputs }: OpCase,
  float: FloatDType,
  { sizes, seed }: Trial,
): Arrays {
  const rng = new Rng(keyOf('op case', name, seed));
  return Object.fromEntries(
    Object.entries(inputs).map(([key, input]) => [
      key,
      drawInput(rng, input, float, input.shape.map(sizeIn(sizes)), sizes),
    ]),
  );
}

/** Random gradients of the float outputs. */
function seedsOf(outputs: Arrays, backward: Graph, seed: number): Arrays {
  const rng = new Rng(keyOf('cotangent', seed));
  const names = backward.inputs.map((input) => input.name).filter((n) => n.startsWith('grad.'));
  return Object.fromEntries(
    names.map((name) => {
      const { dtype, shape, data } = outputs[name.slice('grad.'.length)]!;
      // Multiples of 1/16: exact in f16 too, through which a gradient may pass.
      const values = data.map(() => (rng.nextBelow(65) - 32) / 16);
      return [name, { dtype, shape, data: values }];
    }),
  );
}

function pick(graph: Graph, arrays: Arrays): Arrays {
  return Object.fromEntries(graph.inputs.map(({ name }) => [name, arrays[name]!]));
}

function run(session: Session, arrays: Arrays): Arrays {
  const tensors = Object.entries(arrays).map(
    ([name, { dtype, shape, data }]) => [name, tensorOf(dtype, shape, data)] as const,
  );
  const outputs = Object.entries(session.run(Object.fromEntries(tensors)));
  return Object.fromEntries(outputs.map(([name, tensor]) => [name, arrayOf(tensor)]));
}

function compute(runtime: Runtime, graph: Graph, arrays: Arrays): Arrays {
  checkGraph(lower(graph, cpu));
  using session = runtime.compile(encode(graph), { name: graph.name });
  return run(session, pick(graph, arrays));
}

/** Central differences in double precision with a step of 1e-4. */
const differences = { rtol: 1e-5, atol: 1e-6 };
const step = 1e-4;

function assertAgree(actual: Arrays, expected: Arrays, tolerance: Tolerance, what: string): void {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort(), what);
  for (const [name, array] of Object.entries(expected)) {
    assert.deepEqual(actual[name]!.shape, array.shape, `${what} ${name}: shape`);
    assert.equal(actual[name]!.dtype, array.dtype, `${what} ${name}: dtype`);
    assertClose(actual[name]!.data, array.data, tolerance, `${what} ${name}`);
  }
}

function numericalGradient(
  graph: Graph,
  arrays: Arrays,
  name: string,
  seeds: Arrays,
): Float64Array {
  const lossAt = (array: NdArray): number => {
    const outputs = evaluate(graph, { ...arrays, [name]: array }, 'none');
    let loss = 0;
    for (const [key, seed] of Object.entries(seeds)) {
      const output = outputs[key.slice('grad.'.length)]!;
      output.data.forEach((value, i) => (loss += value * seed.data[i]!));
    }
    return loss;
  };
  const array = arrays[name]!;
  return array.data.map((value, i) => {
    const moved = (by: number): NdArray => ({ ...array, data: array.data.with(i, value + by) });
    return (lossAt(moved(step)) - lossAt(moved(-step))) / (2 * step);
  });
}

describe('graph ops', () => {
  let runtime: Runtime;
  before(() => (runtime = Runtime.open()));
  after(() => runtime[Symbol.dispose]());

  it('all have cases', () => {
    for (const name of Object.keys(ops)) {
      assert.ok(opCases[name as OpName].length > 0, `${name} has no case`);
    }
  });

  for (const name of Object.keys(opCases) as OpName[]) {
    opCases[name].forEach((opCase, number) => {
      const what = `${name} (case ${number})`;
      const floatInputs = Object.entries(opCase.inputs).filter(([, { dtype }]) => !dtype);
      const wrt = floatInputs.filter(([, input]) => input.hasGradient ?? true).map(([key]) => key);
      const dtypes = floatInputs.length > 0 ? floatDTypes : (['f32'] as const);

      for (const float of dtypes) {
        it(`${what}: ONNX Runtime agrees with the reference kernel in ${float}, symbolic and static`, () => {
          const symbolic = graphOf(what, opCase, float, (dim) => dim);
          using session = runtime.compile(encode(symbolic), { name: what });
          fc.assert(
            fc.property(trials, (trial) => {
              const arrays = arraysOf(what, opCase, float, trial);
              const expected = evaluate(symbolic, arrays);
              assertAgree(run(session, arrays), expected, roundingError(symbolic, arrays), what);
            }),
            { numRuns: 4 },
          );
          fc.assert(
            fc.property(trials, (trial) => {
              const graph = graphOf(what, opCase, float, sizeIn(trial.sizes));
              const arrays = arraysOf(what, opCase, float, trial);
              const expected = evaluate(graph, arrays);
              for (const { name: output, value } of graph.outputs) {
                const { shape } = expected[output]!;
                assert.deepEqual(value.shape, shape, `${what} ${output}: inferred shape`);
              }
              const tolerance = roundingError(graph, arrays);
              assertAgree(compute(runtime, graph, arrays), expected, tolerance, what);
            }),
            { numRuns: 1 },
          );
        });
      }

      if (opCase.noGradient !== undefined) return;
      it(`${what}: gradient matches central differences`, () => {
        fc.assert(
          fc.property(trials, fc.boolean(), (trial, isSymbolic) => {
            const dimOf = isSymbolic ? (dim: Dim): Dim => dim : sizeIn(trial.sizes);
            const graph = graphOf(what, opCase, 'f32', dimOf);
            const arrays = arraysOf(what, opCase, 'f32', trial);
            const { forward, backward } = differentiated(graph, { wrt, save: 'needed' });
            const outputs = evaluate(forward, arrays, 'none');
            const seeds = seedsOf(outputs, backward, trial.seed);
            const given = { ...arrays, ...outputs, ...seeds };
            const gradients = evaluate(backward, pick(backward, given), 'none');
            for (const key of wrt) {
              const expected = numericalGradient(graph, arrays, key, seeds);
              assertClose(gradients[`grad.${key}`]!.data, expected, differences, `${what} ${key}`);
            }
          }),
          { numRuns: 6 },
        );
      });

      for (const float of floatDTypes) {
        it(`${what}: ONNX Runtime agrees with the gradient in ${float}, which is near the exact one`, () => {
          fc.assert(
            fc.property(trials, fc.boolean(), (trial, isAccumulated) => {
              const graph = graphOf(what, opCase, float, (dim) => dim);
              const arrays = arraysOf(what, opCase, float, trial);
              const accumulate = isAccumulated ? wrt : [];
              const { forward, backward } = differentiated(graph, {
                wrt,
                save: isAccumulated ? 'needed' : 'inputs',
                accumulate,
              });
              const outputs = evaluate(forward, arrays);
              const totals = accumulate.map((key) => {
                const { shape, data } = arrays[key]!;
                return [`accum.${key}`, { dtype: 'f32', shape, data }] as const;
              });
              const seeds = seedsOf(outputs, backward, trial.seed);
              const all = { ...arrays, ...outputs, ...Object.fromEntries(totals), ...seeds };
              const given = pick(backward, all);
              const gradients = evaluate(backward, given);
              const tolerance = roundingError(backward, given);
              assertAgree(compute(runtime, backward, given), gradients, tolerance, what);
              const exact = evaluate(backward, given, 'none');
              assertAgree(gradients, exact, tolerance, `${what} rounded`);
            }),
            { numRuns: 2 },
          );
        });
      }
    });
  }
});
