// Time of attention, forward and backward, on a CUDA card: `node test/gpu/attention.ts [bf16|f16|f32] [beginning of a
// name]`.
import type { View } from '../../src/device/device.ts';
import { CudaDevice } from '../../src/device/cuda/device.ts';
import { putAll } from '../../src/device/host-tensors.ts';
import { differentiate } from '../../src/graph/backward.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import {
  causalTrees,
  consecutive,
  layoutPlaces,
  treeSize,
  wholeSegments,
  type PlaceLayout,
} from '../../src/model/segments.ts';
import { Rng } from '../../src/rng.ts';
import { bytesPerElement, type FloatDType } from '../../src/tensor/dtype.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { sizeOf, zeros } from '../../src/tensor/tensor.ts';
import { nodeTimes } from './node-times.ts';

/** Peak rates of an H100 per second: products of halves by plain tensor core instructions, and bytes. */
const [FLOPS, BYTES] = [620e12, 3.0e12];

interface Case {
  readonly name: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly layout: PlaceLayout;
}

const trees = (count: number, prompt: number, responses: readonly number[]): PlaceLayout => {
  const all = Array.from({ length: count }, () => ({ prompt, responses }));
  return layoutPlaces(consecutive(all.map(treeSize)), causalTrees(all));
};
const windows = (count: number, length: number): PlaceLayout => {
  const all = consecutive(Array<number>(count).fill(length));
  return layoutPlaces(all, wholeSegments(all));
};
const [of3b, of7b] = [
  { heads: 16, kvHeads: 2, headDim: 128 },
  { heads: 28, kvHeads: 4, headDim: 128 },
];
const tower = { heads: 16, kvHeads: 16, headDim: 80 };
const cases: readonly Case[] = [
  { name: '3b, 8 x 1024', ...of3b, layout: trees(8, 1024, []) },
  { name: '7b, 8 x 1024', ...of7b, layout: trees(8, 1024, []) },
  { name: '3b, 3 x (512 + 8 x 256)', ...of3b, layout: trees(3, 512, Array<number>(8).fill(256)) },
  { name: 'vision windows, 128 x 64', ...tower, layout: windows(128, 64) },
  { name: 'vision frames, 8 x 1024', ...tower, layout: windows(8, 1024) },
];

const dtype = (process.argv[2] ?? 'bf16') as FloatDType;
const chosen = cases.filter(({ name }) => name.startsWith(process.argv[3] ?? ''));
using device = new CudaDevice(0);
const rng = new Rng([3, 4]);
function random(shape: readonly number[]): View {
  const tensor = zeros(dtype, shape);
  writeFloats(
    tensor,
    0,
    Float32Array.from({ length: sizeOf(shape) }, () => 2 * rng.nextUniform() - 1),
  );
  const view = device.allocate(dtype, shape);
  device.upload(tensor, view);
  return view;
}

/** Milliseconds that the card takes for a run of one node, the median of many after some to warm up. */
async function timeOf(run: () => void): Promise<number> {
  for (let i = 0; i < 100; i++) run();
  const times = await nodeTimes(device, () => {
    for (let i = 0; i < 21; i++) run();
  });
  return times.map(({ durationMs }) => durationMs).sort((a, b) => a - b)[10]!;
}

for (const { name, heads, kvHeads, headDim, layout } of chosen) {
  const tokens = layout.order.shape[0]!;
  const g = new GraphBuilder('attention');
  const rows = heads + 2 * kvHeads;
  const joined = g.input('joined', dtype, ['T', rows, headDim]);
  const places = {
    order: g.input('order', 'i32', ['T']),
    sees: g.input('sees', 'i32', ['T', 4]),
    seenBy: g.input('seenBy', 'i32', ['T', 2]),
  };
  g.output('attended', g.packedAttention(joined, places, { heads, kvHeads }));
  const both = differentiate(g.build(), { wrt: ['joined'], save: 'costly' });
  using forward = device.compile(both.forward);
  using backward = device.compile(both.backward);
  using workspace = device.workspace();
  const inputs = { joined: random([tokens, rows, headDim]), ...putAll(workspace, { ...layout }) };
  const saved = forward.run(inputs, workspace);
  const given = { ...inputs, ...saved, 'grad.attended': random([tokens, heads * headDim]) };
  const into = backward.run(given, workspace);
  const forwardMs = await timeOf(() => forward.run(inputs, workspace, saved));
  const backwardMs = await timeOf(() => backward.run(given, workspace, into));
  const { data } = layout.sees;
  let pairs = 0;
  for (let i = 0; i < data.length; i += 2) pairs += data[i + 1]! - data[i]!;
  const product = 2 * pairs * heads * headDim;
  const bytes = tokens * headDim * bytesPerElement(dtype);
  const floor = (products: number, rowsMoved: number): number =>
    1e3 * Math.max((products * product) / FLOPS, (rowsMoved * bytes) / BYTES);
  const round = (x: number): number => Number(x.toPrecision(3));
  console.log(
    JSON.stringify({
      attention: name,
      dtype,
      forwardMs: round(forwardMs),
      forwardFloorMs: round(floor(2, rows + heads)),
      forwardTflops: round((2 * product) / forwardMs / 1e9),
      backwardMs: round(backwardMs),
      backwardFloorMs: round(floor(5, 2 * rows + 2 * heads)),
      backwardTflops: round((5 * product) / backwardMs / 1e9),
    }),
  );
}
