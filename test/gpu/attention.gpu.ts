// Attention's kernels on a CUDA card against the reference kernels; part of `npm run test:gpu`.
import type { Device, View } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { putAll } from '../../src/device/host-tensors.ts';
import { differentiate } from '../../src/graph/backward.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { evaluate } from '../../src/graph/interpret.ts';
import type { Graph } from '../../src/graph/ir.ts';
import { arrayOf, type NdArray } from '../../src/graph/ops/array.ts';
import {
  causalTrees,
  consecutive,
  layoutPlaces,
  treeSize,
  wholeSegments,
  type PlaceLayout,
} from '../../src/model/segments.ts';
import { Rng } from '../../src/rng.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { tensorOf, type Tensor } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';

interface Shape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

const rng = new Rng([5, 12]);

/** Rows of windows anywhere among all rows. */
function scattered(lengths: readonly number[]): number[][] {
  const rows = Array.from({ length: lengths.reduce((a, b) => a + b, 0) }, (_, i) => i);
  for (let i = rows.length - 1; i > 0; i--) {
    const j = rng.nextBelow(i + 1);
    [rows[i], rows[j]] = [rows[j]!, rows[i]!];
  }
  return consecutive(lengths).map((places) => places.map((place) => rows[place]!));
}

function treesOf(...trees: { prompt: number; responses: number[] }[]): PlaceLayout {
  return layoutPlaces(consecutive(trees.map(treeSize)), causalTrees(trees));
}
function windowsOf(...lengths: number[]): PlaceLayout {
  const windows = scattered(lengths);
  return layoutPlaces(windows, wholeSegments(windows));
}

const layouts: Readonly<Record<string, PlaceLayout>> = {
  'one token': treesOf({ prompt: 1, responses: [] }),
  trees: treesOf(
    { prompt: 130, responses: [70, 3, 65] },
    { prompt: 1, responses: [] },
    { prompt: 37, responses: [1, 1] },
  ),
  windows: windowsOf(64, 16, 1, 64, 5, 70, 64, 33),
};

function attentionGraph(dtype: FloatDType, { heads, kvHeads, headDim }: Shape): Graph {
  const g = new GraphBuilder('attention');
  const joined = g.input('joined', dtype, ['T', heads + 2 * kvHeads, headDim]);
  const places = {
    order: g.input('order', 'i32', ['T']),
    sees: g.input('sees', 'i32', ['T', 4]),
    seenBy: g.input('seenBy', 'i32', ['T', 2]),
  };
  g.output('attended', g.packedAttention(joined, places, { heads, kvHeads }));
  return g.build();
}

function random(dtype: FloatDType, shape: readonly number[]): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensorOf(
    dtype,
    shape,
    Array.from({ length: size }, () => (2 * rng.nextBelow(128) - 127) / 64),
  );
}

/** Runs a graph into memory that holds NaN, so that what is not written shows. */
async function computed(
  device: Device,
  graph: Graph,
  inputs: Readonly<Record<string, NdArray>>,
  expected: Readonly<Record<string, NdArray>>,
): Promise<Record<string, NdArray>> {
  using workspace = device.workspace();
  const tensors = Object.entries(inputs).map(([name, { dtype, shape, data }]): [string, Tensor] => [
    name,
    tensorOf(dtype, shape, data),
  ]);
  const into: Record<string, View> = {};
  for (const [name, { dtype, shape, data }] of Object.entries(expected)) {
    into[name] = workspace.put(
      tensorOf(
        dtype,
        shape,
        data.map(() => NaN),
      ),
    );
  }
  using program = device.compile(graph);
  const views = program.run(putAll(workspace, Object.fromEntries(tensors)), workspace, into);
  const results: Record<string, NdArray> = {};
  for (const name of Object.keys(expected)) {
    results[name] = arrayOf(await device.download(views[name]!));
  }
  return results;
}

/** Tolerances as a share of the largest number of a result: errors by rounding to the dtype, inside and at the end. */
const tolerances: Readonly<Record<FloatDType, number>> = { f32: 2e-5, f16: 4e-3, bf16: 2e-2 };

function assertNear(
  actual: Record<string, NdArray>,
  expected: Record<string, NdArray>,
  dtype: FloatDType,
): void {
  for (const [name, { data }] of Object.entries(expected)) {
    const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    assertClose(
      actual[name]!.data,
      data,
      { rtol: 0, atol: tolerances[dtype] * largest + 1e-6 },
      name,
    );
  }
}

describe('attention on cuda:0', function () {
  this.timeout(120_000);
  let device: Device;
  before(() => (device = openDevice({ device: 'cuda:0', threads: 4 })));
  after(() => device[Symbol.dispose]());

  const shapes: readonly Shape[] = [
    { heads: 8, kvHeads: 1, headDim: 128 },
    { heads: 7, kvHeads: 1, headDim: 64 },
    { heads: 2, kvHeads: 2, headDim: 80 },
    { heads: 4, kvHeads: 2, headDim: 20 },
    { heads: 1, kvHeads: 1, headDim: 16 },
  ];
  for (const dtype of ['f32', 'f16', 'bf16'] as const) {
    for (const shape of shapes) {
      const { heads, kvHeads, headDim } = shape;
      it(`attends in ${dtype} with ${heads} heads, ${kvHeads} of keys, ${headDim} wide`, async () => {
        for (const [name, { order, sees, seenBy }] of Object.entries(layouts)) {
          const tokens = order.shape[0]!;
          const both = differentiate(attentionGraph(dtype, shape), {
            wrt: ['joined'],
            save: 'costly',
          });
          const places = { order: arrayOf(order), sees: arrayOf(sees), seenBy: arrayOf(seenBy) };
          const joined = arrayOf(random(dtype, [tokens, heads + 2 * kvHeads, headDim]));
          const forwardInputs = { joined, ...places };
          const attended = evaluate(both.forward, forwardInputs);
          const gradient = arrayOf(random(dtype, [tokens, heads * headDim]));
          const all = { ...forwardInputs, ...attended, 'grad.attended': gradient };
          const backwardInputs = Object.fromEntries(
            both.backward.inputs.map((input) => [input.name, all[input.name as keyof typeof all]]),
          );
          const gradients = evaluate(both.backward, backwardInputs);
          try {
            assertNear(
              await computed(device, both.forward, forwardInputs, attended),
              attended,
              dtype,
            );
            assertNear(
              await computed(device, both.backward, backwardInputs, gradients),
              gradients,
              dtype,
            );
          } catch (error) {
            throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
          }
        }
      });
    }
  }
});
