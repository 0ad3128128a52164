// Time of one decoder layer, forward and backward, on a CUDA card: `node test/gpu/layer.ts [3b|7b|30b-a3b] [f32|bf16]`;
// with CXMIND_PROFILE=1 also when each kernel ran, and for how long.
import { differentiate } from '../../src/graph/backward.ts';
import { CudaDevice } from '../../src/device/cuda/device.ts';
import { openDevice } from '../../src/device/open.ts';
import type { View } from '../../src/device/device.ts';
import { putAll } from '../../src/device/host-tensors.ts';
import { NO_ADAPTERS } from '../../src/model/adapters/adapter.ts';
import { decoderLayerGraph } from '../../src/model/decoder/layer.ts';
import { formFor } from '../../src/model/graph-form.ts';
import { Block } from '../../src/model/block.ts';
import { qwen2, qwen3Moe } from '../../src/model/text-models/architectures.ts';
import { sequenceInputs } from '../../src/model/sequence-inputs.ts';
import { moduleNames } from '../../src/model/weights/modules.ts';
import { Rng } from '../../src/rng.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { sizeOf, tensorOf, zeros } from '../../src/tensor/tensor.ts';
import { median } from '../support/median.ts';
import { textModel } from '../support/small-sizes.ts';
import { experts } from './experts.ts';
import { nodeTimes } from './node-times.ts';

const shapes = {
  '3b': { hiddenSize: 2048, heads: 16, kvHeads: 2, headDim: 128, intermediateSize: 11008 },
  '7b': { hiddenSize: 3584, heads: 28, kvHeads: 4, headDim: 128, intermediateSize: 18944 },
  '30b-a3b': { hiddenSize: 2048, heads: 32, kvHeads: 4, headDim: 128, intermediateSize: 768 },
} as const;
const name = (process.argv[2] ?? '3b') as keyof typeof shapes;
const dtype = (process.argv[3] ?? 'bf16') as FloatDType;
const isMixture = name === '30b-a3b';
const architecture = isMixture ? qwen3Moe : qwen2;
const model = textModel(
  {
    ...shapes[name],
    vocabSize: 151936,
    ropeTheta: 1e6,
    experts: isMixture ? experts : null,
    mropeSection: [16, 24, 24],
    qkvBias: !isMixture,
    qkNorm: isMixture,
  },
  architecture,
);
const config = model.text;
const [sequences, length] = [8, 1024];
const tokens = sequences * length;

const device = openDevice({ device: 'cuda:0', threads: 4 });
const graph = decoderLayerGraph(config, NO_ADAPTERS, dtype, formFor(device));
const modules = architecture.weights.modules(model, 'policy');
const parameters = Object.keys(modules.get(moduleNames.layer(0))!.inputs);
const block = new Block(device, graph, {
  parameters,
  activations: ['hidden'],
  save: 'costly',
});
const rng = new Rng([1, 2]);
/** Random numbers that repeat. Their number is prime, so rows of a tensor differ. */
const some = Float32Array.from({ length: 999_983 }, () => 0.03 * (rng.nextUniform() - 0.5));
function random(type: FloatDType, shape: readonly number[]): View {
  const tensor = zeros(type, shape);
  const size = sizeOf(shape);
  for (let at = 0; at < size; at += some.length) {
    writeFloats(tensor, at, some.subarray(0, Math.min(some.length, size - at)));
  }
  const view = device.allocate(type, shape);
  device.upload(tensor, view);
  return view;
}
const weights: Record<string, View> = {};
const accumulators: Record<string, View> = {};
for (const { name: input, shape } of graph.inputs) {
  if (!parameters.includes(input)) continue;
  weights[input] = random(dtype, shape as number[]);
  accumulators[input] = random('f32', shape as number[]);
}
const hidden = random(dtype, [tokens, config.hiddenSize]);
const gradient = random(dtype, [tokens, config.hiddenSize]);
using inputsSpace = device.workspace();
const positions = tensorOf(
  'i32',
  [3, tokens],
  Array.from({ length: 3 * tokens }, (_, i) => i % length),
);
const trees = Array.from({ length: sequences }, () => ({ prompt: length, responses: [] }));
const shared = putAll(inputsSpace, sequenceInputs({ positions, trees }, config, formFor(device)));
using workspace = device.workspace();

const [forward, backward, both]: [number[], number[], number[]] = [[], [], []];
/** One pass forward and one back; without `between` the second is queued while the first runs, as in training. */
async function pass(between: () => Promise<void> | undefined = () => undefined): Promise<void> {
  const { saved } = block.forwardSaving({ hidden, ...shared }, weights, workspace);
  await between();
  block.backward(saved, weights, { output: gradient }, accumulators, workspace);
}
async function timed(between?: (start: number) => Promise<void>): Promise<number> {
  workspace.reset();
  await device.idle();
  const start = performance.now();
  await pass(between && (() => between(start)));
  await device.idle();
  return performance.now() - start;
}
for (let i = 0; i < 14; i++) {
  let middle = 0;
  const total = await timed(async (start) => {
    await device.idle();
    middle = performance.now() - start;
  });
  const joined = await timed();
  if (i < 4) continue;
  forward.push(middle);
  backward.push(total - middle);
  both.push(joined);
}
const { nodes } = differentiate(graph, {
  wrt: ['hidden'],
  accumulate: [],
  save: 'costly',
}).backward;
console.log(
  JSON.stringify({
    layer: name,
    dtype,
    tokens,
    forwardMs: +median(forward).toFixed(2),
    backwardMs: +median(backward).toFixed(2),
    togetherMs: +median(both).toFixed(2),
    workspaceMiB: Math.round(workspace.sizeBytes / 2 ** 20),
    nodes: nodes.length,
  }),
);

if (process.env['CXMIND_PROFILE'] !== undefined && device instanceof CudaDevice) {
  const nodes = await nodeTimes(device, () => pass());
  const within = nodes.reduce((sum, { durationMs }) => sum + durationMs, 0);
  const last = nodes.at(-1)!;
  for (const { name, startMs, durationMs } of nodes) {
    console.log(`${startMs.toFixed(3).padStart(9)} ${durationMs.toFixed(3).padStart(7)} ${name}`);
  }
  // What is left are ONNX Runtime's own kernels, and time in which the card waits.
  console.log(
    `${within.toFixed(2)} ms in ${nodes.length} nodes, ${(last.startMs + last.durationMs).toFixed(2)} ms in all`,
  );
}
