import assert from 'node:assert/strict';
import fc from 'fast-check';
import { openDevice } from '../../../src/device/open.ts';
import { evaluate } from '../../../src/graph/interpret.ts';
import type { Graph } from '../../../src/graph/ir.ts';
import type { NdArray } from '../../../src/graph/ops/array.ts';
import { ops, type OpName } from '../../../src/graph/ops/table.ts';
import { opCases } from '../../conformance/op-cases.ts';
import {
  arraysOf,
  computesOps,
  differentiated,
  graphOf,
  namedCases,
  pick,
  seedsOf,
  sizeIn,
  trials,
  type Arrays,
} from '../../conformance/ops.ts';
import { assertClose } from '../../support/assert-close.ts';

/** Central differences in double precision with a step of 1e-4. */
const differences = { rtol: 1e-5, atol: 1e-6 };
const step = 1e-4;

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
  it('all have cases', () => {
    for (const name of Object.keys(ops)) {
      assert.ok(opCases[name as OpName].length > 0, `${name} has no case`);
    }
  });

  it('infer the shapes that they give', () => {
    fc.assert(
      fc.property(trials, (trial) => {
        for (const named of namedCases) {
          const graph = graphOf(named, 'f32', sizeIn(trial.sizes));
          const outputs = evaluate(graph, arraysOf(named, 'f32', trial));
          for (const { name, value } of graph.outputs) {
            assert.deepEqual(value.shape, outputs[name]!.shape, `${named.name} ${name}`);
          }
        }
      }),
      { numRuns: 2 },
    );
  });

  for (const named of namedCases) {
    const { name: what, opCase, wrt } = named;
    if (opCase.noGradient !== undefined) continue;
    it(`${what}: gradient matches central differences`, () => {
      fc.assert(
        fc.property(trials, fc.boolean(), (trial, isSymbolic) => {
          const graph = graphOf(named, 'f32', isSymbolic ? (dim) => dim : sizeIn(trial.sizes));
          const arrays = arraysOf(named, 'f32', trial);
          const { forward, backward } = differentiated(graph, { wrt, save: 'costly' });
          const outputs = evaluate(forward, arrays, 'none');
          const seeds = seedsOf(outputs, backward, trial.seed);
          const given = { ...arrays, ...outputs, ...seeds };
          const gradients = evaluate(backward, pick(backward, given), 'none');
          for (const key of wrt) {
            const expected = numericalGradient(graph, arrays, key, seeds);
            assertClose(gradients[`grad.${key}`]!.data, expected, differences, `${what} ${key}`);
          }
        }),
        { numRuns: 4 },
      );
    });
  }
});

computesOps('cpu', () => openDevice({ threads: 1 }), { numRuns: 2 });
