import type { Device, Program, View } from '../../src/device/device.ts';
import { differentiate } from '../../src/graph/backward.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { evaluate } from '../../src/graph/interpret.ts';
import type { Graph } from '../../src/graph/ir.ts';
import { arrayOf, type NdArray } from '../../src/graph/ops/array.ts';
import { sizeOfDim } from '../../src/graph/dim.ts';
import { strategies } from '../../src/optim/adamw-graph.ts';
import { Rng } from '../../src/rng.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { sizeOf, tensorOf } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';
import type { Arrays } from './ops.ts';

/** A graph of which a device with kernels makes few, at sizes that its kernels treat each in their own way. */
interface FusedCase {
  readonly graph: (dtype: FloatDType) => Graph;
  readonly sizes: readonly Readonly<Record<string, number>>[];
}

const graphOf = (write: (g: GraphBuilder) => void): Graph => {
  const g = new GraphBuilder('fused');
  write(g);
  return g.build();
};

/** The gradient's graph of what is written, with those of some inputs added to what is there. */
const backwardOf = (write: (g: GraphBuilder) => void, accumulate: readonly string[]): Graph => {
  const graph = graphOf(write);
  const wrt = graph.inputs.filter(({ dtype }) => dtype !== 'i32').map(({ name }) => name);
  return differentiate(graph, { wrt, save: 'nothing', accumulate }).backward;
};

const norm =
  (dtype: FloatDType, width: number | string) =>
  (g: GraphBuilder): void => {
    const [x, y] = ['x', 'y'].map((name) => g.input(name, dtype, ['T', width]));
    const sum = g.add(x!, y!);
    g.output('sum', sum);
    g.output('normed', g.rmsNorm(sum, g.input('weight', dtype, [width]), 1e-6));
  };
const gated =
  (dtype: FloatDType) =>
  (g: GraphBuilder): void => {
    const [gate, up] = ['gate', 'up'].map((name) => g.input(name, dtype, ['T', 'F']));
    const biased = g.add(up!, g.input('bias', dtype, ['F']));
    g.output('y', g.mul(g.silu(gate!), biased));
  };
const exponentials =
  (dtype: FloatDType) =>
  (g: GraphBuilder): void => {
    const x = g.input('x', dtype, ['T', 'W']);
    g.output('softmax', g.softmax(x));
    g.output('logSoftmax', g.logSoftmax(x));
    g.output('mean', g.reduceMean(x, [-1]));
  };
const sums = (dtype: FloatDType): Graph =>
  graphOf((g) => {
    const x = g.input('x', dtype, ['T', 'W']);
    const squares = g.mul(g.cast(x, 'f32'), g.cast(x, 'f32'));
    g.output('columns', g.reduceSum(squares, [0]));
    g.output('all', g.reduceSum(squares, [0, 1], true));
    g.output('flat', g.reduceSum(g.reshape(squares, ['T*W']), [0]));
    g.output('largest', g.reduceMax(x, [1], true));
  });
const rows = (g: GraphBuilder, dtype: FloatDType): void => {
  const table = g.input('table', dtype, ['V', 'W']);
  g.output('y', g.gather(table, g.input('index', 'i32', ['T'])));
};

const cases: Readonly<Record<string, FusedCase>> = {
  'a norm whose rows fit a block': {
    graph: (dtype) => graphOf(norm(dtype, 2048)),
    sizes: [{ T: 1 }, { T: 37 }],
  },
  'a norm whose rows are two packs a thread': {
    graph: (dtype) => graphOf(norm(dtype, 3584)),
    sizes: [{ T: 5 }],
  },
  'norms of any width': {
    graph: (dtype) => graphOf(norm(dtype, 'D')),
    sizes: [
      { T: 300, D: 24 },
      { T: 7, D: 1001 },
      { T: 2, D: 20000 },
    ],
  },
  'the gradients of a norm': {
    graph: (dtype) => backwardOf(norm(dtype, 'D'), ['weight']),
    sizes: [
      { T: 530, D: 40 },
      { T: 33, D: 1001 },
      { T: 9, D: 2048 },
    ],
  },
  'the gradients of a norm of known width': {
    graph: (dtype) => backwardOf(norm(dtype, 1000), ['weight']),
    sizes: [{ T: 67 }],
  },
  'a gate': {
    graph: (dtype) => graphOf(gated(dtype)),
    sizes: [
      { T: 5, F: 11008 },
      { T: 3, F: 3421 },
    ],
  },
  'the gradients of a gate': {
    graph: (dtype) => backwardOf(gated(dtype), ['bias']),
    sizes: [
      { T: 70, F: 1032 },
      { T: 3, F: 3421 },
    ],
  },
  exponentials: {
    graph: (dtype) => graphOf(exponentials(dtype)),
    sizes: [
      { T: 3, W: 8192 },
      { T: 130, W: 9 },
      { T: 2, W: 4099 },
    ],
  },
  'the gradients of exponentials': {
    graph: (dtype) => backwardOf(exponentials(dtype), []),
    sizes: [
      { T: 3, W: 2056 },
      { T: 65, W: 9 },
    ],
  },
  'sums over rows and over all': {
    graph: sums,
    sizes: [
      { T: 4100, W: 8 },
      { T: 33, W: 1001 },
      { T: 1, W: 1 },
    ],
  },
  'sums of rows by index': {
    graph: (dtype) => backwardOf((g) => rows(g, dtype), ['table']),
    sizes: [
      { T: 700, V: 13, W: 24 },
      { T: 300, V: 400, W: 9 },
    ],
  },
  'a step of AdamW': {
    graph: () =>
      strategies.adamw.graph({
        betas: [0.9, 0.999],
        eps: 1e-8,
        storage: 'f32',
        parameters: 'f32',
        working: 'bf16',
      }),
    sizes: [{ n: 40003 }, { n: 8 }],
  },
};

/** The largest error of a dtype's results, of their largest number. */
const errors: Readonly<Record<FloatDType, number>> = { f32: 2e-5, f16: 2 ** -8, bf16: 2 ** -5 };

/**
 * Chains of ops on a device at sizes beyond those of the op cases, against the reference kernels: rows in packs and odd
 * ones, short and long; many runs of rows; memory that is not aligned; outputs that hold no numbers before.
 */
export function computesFused(name: string, open: () => Device): void {
  describe(`chains of ops on ${name}`, () => {
    let device: Device;
    before(() => (device = open()));
    after(() => device[Symbol.dispose]());

    for (const [what, { graph: graphIn, sizes }] of Object.entries(cases)) {
      for (const dtype of ['f32', 'f16', 'bf16'] as const) {
        it(`give ${what} in ${dtype}`, async function () {
          if (!device.computeDTypes.includes(dtype)) this.skip();
          const graph = graphIn(dtype);
          using program = device.compile(graph);
          for (const [i, size] of sizes.entries()) {
            const inputs = inputsOf(graph, size, new Rng([7, i]));
            const expected = evaluate(graph, inputs, 'none');
            for (const isAligned of device.isAddressable ? [true, false] : [true]) {
              const actual = await run(device, program, inputs, expected, isAligned);
              for (const [key, { dtype: of, data }] of Object.entries(expected)) {
                const largest = data.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
                const error = Math.max(errors[of as FloatDType], errors[dtype]);
                const where = `${what} ${JSON.stringify(size)} ${isAligned ? '' : 'not aligned '}${key}`;
                assertClose(actual[key]!.data, data, { atol: error * largest }, where);
              }
            }
          }
        });
      }
    }
  });
}

/** Numbers that a dtype has, around zero; indices that repeat; second moments that are not negative. */
function inputsOf(graph: Graph, sizes: Readonly<Record<string, number>>, rng: Rng): Arrays {
  const inputs = graph.inputs.map(({ name, dtype, shape }): [string, NdArray] => {
    const dims = shape.map((dim) => sizeOfDim(dim, (symbol) => sizes[symbol]!));
    const draw = (): number => {
      if (dtype === 'i32') return rng.nextBelow(sizes['V']!);
      const number = (rng.nextBelow(257) - 128) / 64;
      return name === 'v' || shape.length === 0 ? Math.abs(number) + 0.25 : number;
    };
    const data = Float64Array.from({ length: sizeOf(dims) }, draw);
    return [name, { dtype, shape: dims, data }];
  });
  return Object.fromEntries(inputs);
}

/** One run over memory of its own, whose outputs hold NaN before; not aligned, one element behind where it could be. */
async function run(
  device: Device,
  program: Program,
  inputs: Arrays,
  expected: Arrays,
  isAligned: boolean,
): Promise<Arrays> {
  using made = new DisposableStack();
  const place = ({ dtype, shape }: NdArray): View => {
    if (isAligned) return made.use(device.allocate(dtype, shape));
    const whole = made.use(device.allocate(dtype, [sizeOf(shape) + 1]));
    return device.part(whole, 1, shape);
  };
  const fill = (array: NdArray, data: ArrayLike<number>): View => {
    const view = place(array);
    device.upload(tensorOf(array.dtype, array.shape, Array.from(data)), view);
    return view;
  };
  const given = Object.entries(inputs).map(([key, array]): [string, View] => [
    key,
    fill(array, array.data),
  ]);
  const into = program.graph.outputs.map(({ name, value }): [string, View] => {
    const array = { ...expected[name]!, dtype: value.dtype };
    return [
      name,
      fill(
        array,
        array.data.map(() => NaN),
      ),
    ];
  });
  using workspace = device.workspace();
  const views = program.run(Object.fromEntries(given), workspace, Object.fromEntries(into));
  const results: Arrays = {};
  for (const [key, view] of Object.entries(views)) {
    results[key] = arrayOf(await device.download(view));
  }
  return results;
}
