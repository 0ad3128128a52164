import assert from 'node:assert/strict';
import { checkGraph } from '../../../src/graph/check.ts';
import { encode } from '../../../src/graph/encode.ts';
import { strategies } from '../../../src/optim/adamw-graph.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { nearestIn, type FloatDType } from '../../../src/tensor/dtype.ts';
import { numbersOf } from '../../../src/tensor/numbers.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { runSession } from '../../support/run-session.ts';

const constants = { betas: [0.9, 0.999], eps: 1e-8 } as const;
const given: Readonly<Record<string, number | number[]>> = {
  p: [1 / 3, -1.5, 70_000, 1e-9],
  g: [0.5, -0.25, 3, 0],
  m: [0, 0.5, 0, 0],
  v: [0, 0.25, 0, 0],
  c: [0, 0, 0, 0],
  gradientScale: 1,
  decay: 0.999,
  stepSize: 0.1,
  root: 0.03,
  inverseRoot: 33,
};

describe('the update of an optimizer', () => {
  for (const [name, { graph: graphOf }] of Object.entries(strategies)) {
    for (const working of ['bf16', 'f16', 'f32'] as const satisfies FloatDType[]) {
      it(`${name}: also gives the new parameters in ${working}, rounded once`, () => {
        const graph = graphOf({ ...constants, storage: 'f32', parameters: 'f32', working });
        checkGraph(graph);
        using runtime = new Runtime();
        using session = runtime.compile(encode(graph), { name: graph.name });
        const inputs = graph.inputs.map(({ name: input, dtype }): [string, Tensor] => {
          const numbers = given[input]!;
          const [shape, values] = Array.isArray(numbers) ? [[4], numbers] : [[], [numbers]];
          return [input, tensorOf(dtype, shape, values)];
        });
        const outputs = runSession(session, Object.fromEntries(inputs));
        const next = numbersOf(outputs['nextP']!);
        assert.notDeepEqual(next, Float64Array.from(given['p'] as number[]));
        assert.equal(outputs['working']!.dtype, working);
        assert.deepEqual(
          numbersOf(outputs['working']!),
          next.map((number) => nearestIn(working, number)),
        );
      });
    }

    it(`${name}: has no such output otherwise`, () => {
      const { outputs } = graphOf({ ...constants, storage: 'f32', parameters: 'f32' });
      assert.ok(outputs.every((output) => output.name !== 'working'));
    });
  }
});
