import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Device } from '../../src/device/device.ts';
import { putAll } from '../../src/device/host-tensors.ts';
import { differentiate, type DifferentiateOptions } from '../../src/graph/backward.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { checkGraph } from '../../src/graph/check.ts';
import { evaluate } from '../../src/graph/interpret.ts';
import { isFloat, type Dim, type Graph, type Value } from '../../src/graph/ir.ts';
import { arrayOf, type NdArray } from '../../src/graph/ops/array.ts';
import type { OpName } from '../../src/graph/ops/table.ts';
import type { ForwardAndBackward } from '../../src/graph/partition.ts';
import { optimize } from '../../src/graph/passes.ts';
import { sizeOfDim } from '../../src/graph/dim.ts';
import { cpu, cuda, lower, webgpu } from '../../src/graph/target.ts';
import { keyOf, Rng } from '../../src/rng.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { tensorOf, type Tensor } from '../../src/tensor/tensor.ts';
import { assertClose, type Tolerance } from '../support/assert-close.ts';
import { roundingError, type OpErrors } from '../support/rounding-error.ts';
import { drawInput, opCases, symbols, type OpCase } from './op-cases.ts';

/** Arrays by the names of a graph's ends. */
export type Arrays = Record<string, NdArray>;

/** Sizes of the symbols, and what the inputs are drawn from. */
export interface Trial {
  readonly sizes: Record<string, number>;
  readonly seed: number;
}

/** Small sizes, all of them above one, since an axis of one broadcasts. */
export const trials: fc.Arbitrary<Trial> = fc.record({
  sizes: fc.record(
    Object.fromEntries(symbols.map((symbol) => [symbol, fc.integer({ min: 2, max: 4 })])),
  ),
  seed: fc.integer(),
});

/** A case of the table under the name that failures call it by. */
export interface NamedCase {
  readonly name: string;
  readonly opCase: OpCase;
  /** Inputs of the float dtype under test. */
  readonly floats: readonly string[];
  /** Names of the floats whose gradients are compared. */
  readonly wrt: readonly string[];
}

/** Every case there is. */
export const namedCases: readonly NamedCase[] = (Object.keys(opCases) as OpName[]).flatMap((op) =>
  opCases[op].map((opCase, number) => {
    const inputs = Object.entries(opCase.inputs).filter(([, { dtype }]) => dtype === undefined);
    const wrt = inputs.filter(([, { hasGradient = true }]) => hasGradient).map(([key]) => key);
    return { name: `${op}.${number}`, opCase, floats: inputs.map(([key]) => key), wrt };
  }),
);

/** The sizes of dimensions in one trial. */
export const sizeIn =
  (sizes: Readonly<Record<string, number>>) =>
  (dim: Dim): number =>
    sizeOfDim(dim, (symbol) => sizes[symbol]!);

/** A case as a graph of its own, checked before and after the passes. */
export function graphOf(
  { name, opCase }: NamedCase,
  float: FloatDType,
  dimOf: (dim: Dim) => Dim,
): Graph {
  const g = new GraphBuilder(name);
  const values: Record<string, Value> = {};
  for (const [key, { dtype = float, shape }] of Object.entries(opCase.inputs)) {
    values[key] = g.input(key, dtype, shape.map(dimOf));
  }
  opCase.build(g, values, dimOf).forEach((value, i) => g.output(`y${i}`, value));
  const graph = g.build();
  checkGraph(graph);
  checkGraph(optimize(graph));
  return graph;
}

/** A case's graph and that of its gradients, as every pass leaves them. */
export function differentiated(graph: Graph, options: DifferentiateOptions): ForwardAndBackward {
  const both = differentiate(graph, options);
  checkGraph(both.forward);
  checkGraph(both.backward);
  return both;
}

/** Input arrays of a case in one trial. */
export function arraysOf(
  { name, opCase }: NamedCase,
  float: FloatDType,
  { sizes, seed }: Trial,
): Arrays {
  const rng = new Rng(keyOf('op case', name, seed));
  return Object.fromEntries(
    Object.entries(opCase.inputs).map(([key, input]) => [
      key,
      drawInput(rng, input, float, input.shape.map(sizeIn(sizes)), sizes),
    ]),
  );
}

/** Random gradients of the float outputs. */
export function seedsOf(outputs: Arrays, backward: Graph, seed: number): Arrays {
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

/** The arrays that a graph takes. */
export function pick(graph: Graph, arrays: Arrays): Arrays {
  return Object.fromEntries(graph.inputs.map(({ name }) => [name, arrays[name]!]));
}

/** A graph, what it takes, and what it is to give. */
interface Example {
  readonly name: string;
  readonly graph: Graph;
  readonly inputs: Arrays;
  readonly expected: Arrays;
}

function exampleOf(name: string, graph: Graph, inputs: Arrays): Example {
  for (const target of [cpu, webgpu, cuda]) checkGraph(lower(graph, target));
  return { name, graph, inputs, expected: evaluate(graph, inputs) };
}

function forwardExample(named: NamedCase, float: FloatDType, trial: Trial, dim: DimOf): Example {
  const graph = graphOf(named, float, dim);
  return exampleOf(named.name, graph, arraysOf(named, float, trial));
}

/** @param isAccumulated whether gradients add to what is there, and the forward pass kept what it could */
function gradientExample(
  named: NamedCase,
  float: FloatDType,
  trial: Trial,
  dim: DimOf,
  isAccumulated: boolean,
): Example {
  const { name, wrt } = named;
  const arrays = arraysOf(named, float, trial);
  const accumulate = isAccumulated ? wrt : [];
  const save = isAccumulated ? 'costly' : 'nothing';
  const options = { wrt, save, accumulate } as const;
  const { forward, backward } = differentiated(graphOf(named, float, dim), options);
  const outputs = evaluate(forward, arrays);
  const totals = accumulate.map((key): [string, NdArray] => {
    const { shape, data } = arrays[key]!;
    return [`accum.${key}`, { dtype: 'f32', shape, data }];
  });
  const seeds = seedsOf(outputs, backward, trial.seed);
  const all = { ...arrays, ...outputs, ...Object.fromEntries(totals), ...seeds };
  const example = exampleOf(name, backward, pick(backward, all));
  const exact = evaluate(backward, example.inputs, 'none');
  const tolerance = roundingError(backward, example.inputs);
  assertAgree(example.expected, exact, tolerance, `${name} rounded`);
  return example;
}

type DimOf = (dim: Dim) => Dim;
const symbolic: DimOf = (dim) => dim;

/** Graphs side by side in one, their ends named after them: compiling one costs less than compiling each. */
function packed(examples: readonly Example[]): Graph {
  const g = new GraphBuilder('op cases');
  for (const { name, graph } of examples) {
    const values = new Map<number, Value>();
    for (const { id, name: key, dtype, shape } of graph.inputs) {
      values.set(id, g.input(`${name}.${key}`, dtype, shape));
    }
    for (const [id, tensor] of graph.constants) values.set(id, g.constant(tensor));
    for (const { op, inputs, attributes, outputs } of graph.nodes) {
      const operands = inputs.map(({ id }) => values.get(id)!);
      const results = g.apply(op, operands, attributes);
      outputs.forEach(({ id }, i) => values.set(id, results[i]!));
    }
    for (const { name: key, value } of graph.outputs) {
      g.output(`${name}.${key}`, values.get(value.id)!);
    }
  }
  return g.build();
}

/** Tells whether a device has every dtype that a graph computes in. */
function hasDTypesOf({ computeDTypes }: Device, { inputs, nodes }: Graph): boolean {
  const values = [...inputs, ...nodes.flatMap(({ outputs }) => outputs)];
  return values.every(({ dtype }) => !isFloat(dtype) || computeDTypes.includes(dtype));
}

/** Runs the examples on a device, all in one program, and compares each with its reference. */
async function assertComputes(
  device: Device,
  examples: readonly Example[],
  errors: OpErrors,
): Promise<void> {
  using program = device.compile(packed(examples));
  using workspace = device.workspace();
  const tensors = examples.flatMap(({ name, inputs }) =>
    Object.entries(inputs).map(([key, { dtype, shape, data }]): [string, Tensor] => [
      `${name}.${key}`,
      tensorOf(dtype, shape, data),
    ]),
  );
  const views = program.run(putAll(workspace, Object.fromEntries(tensors)), workspace);
  const failures: string[] = [];
  for (const { name, graph, inputs, expected } of examples) {
    const actual: Arrays = {};
    for (const key of Object.keys(expected)) {
      actual[key] = arrayOf(await device.download(views[`${name}.${key}`]!));
    }
    try {
      assertAgree(actual, expected, roundingError(graph, inputs, errors), name);
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  assert.deepEqual(failures, []);
}

function assertAgree(actual: Arrays, expected: Arrays, tolerance: Tolerance, what: string): void {
  for (const [name, array] of Object.entries(expected)) {
    assert.deepEqual(actual[name]!.shape, array.shape, `${what} ${name}: shape`);
    assert.equal(actual[name]!.dtype, array.dtype, `${what} ${name}: dtype`);
    assertClose(actual[name]!.data, array.data, tolerance, `${what} ${name}`);
  }
}

/**
 * Every op of the table and its gradient on a device, in each of its dtypes.
 *
 * @param options.numRuns trials of each in f32, with sizes and numbers of their own; the halves have one
 * @param options.errors of ops that the device does not compute as well as their dtype allows
 */
export function computesOps(
  name: string,
  open: () => Device,
  { numRuns, errors = {} }: { numRuns: number; errors?: OpErrors },
): void {
  describe(`ops on ${name}`, () => {
    let device: Device;
    before(() => (device = open()));
    after(() => device[Symbol.dispose]());

    for (const float of ['f32', 'f16', 'bf16'] as const) {
      const cases = namedCases.filter(({ floats }) => float === 'f32' || floats.length > 0);
      const differentiable = cases.filter(({ opCase }) => opCase.noGradient === undefined);
      const check = (examplesOf: (trial: Trial, isOdd: boolean) => Example[]): Promise<void> =>
        fc.assert(
          fc.asyncProperty(trials, fc.boolean(), async (trial, isOdd) => {
            const examples = examplesOf(trial, isOdd);
            const possible = examples.filter(({ graph }) => hasDTypesOf(device, graph));
            await assertComputes(device, possible, errors);
          }),
          { numRuns: float === 'f32' ? numRuns : 1, endOnFailure: true },
        );
      const hasDType = (context: Mocha.Context): void => {
        if (!device.computeDTypes.includes(float)) context.skip();
      };

      it(`agree with the reference kernels in ${float}, symbolic and static`, async function () {
        hasDType(this);
        await check((trial, isStatic) => {
          const dim = isStatic ? sizeIn(trial.sizes) : symbolic;
          return cases.map((named) => forwardExample(named, float, trial, dim));
        });
      });

      it(`agree with the reference gradients in ${float}, added up and not`, async function () {
        hasDType(this);
        await check((trial, isAdded) =>
          differentiable.map((named) => gradientExample(named, float, trial, symbolic, isAdded)),
        );
      });
    }
  });
}
