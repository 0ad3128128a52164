// Time of decoding steps on a CUDA card, weights random: `node test/gpu/decode.ts [3b|7b|30b-a3b] [batch …]`;
// with CXMIND_PROFILE=1 also when each kernel of one layer and of the head ran, and for how long.
import { CudaDevice } from '../../src/device/cuda/device.ts';
import type { View } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { ControlledSampler } from '../../src/generation/controlled-sampler.ts';
import { takeDecoderWeights } from '../../src/generation/decoder-weights.ts';
import { KernelSampler } from '../../src/generation/kernel-sampler.ts';
import { PagedDecoder } from '../../src/generation/paged-decoder.ts';
import type { PrefilledPrompt } from '../../src/generation/prefill.ts';
import { layOut } from '../../src/model/weights/arena-layout.ts';
import { DeviceArena } from '../../src/model/weights/device-arena.ts';
import { logitsGraph } from '../../src/model/heads.ts';
import { pagedStepGraph } from '../../src/model/decoder/paged-step.ts';
import { modelWeights } from '../../src/model/model-weights.ts';
import { parameterGroups } from '../../src/model/parameters.ts';
import { qwen2, qwen3Moe } from '../../src/model/text-models/architectures.ts';
import { Rng } from '../../src/rng.ts';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { tensorOf, zeros } from '../../src/tensor/tensor.ts';
import { textPrompt } from '../support/golden-model.ts';
import { median } from '../support/median.ts';
import { textModel } from '../support/small-sizes.ts';
import { experts } from './experts.ts';
import { nodeTimes } from './node-times.ts';

const shapes = {
  '3b': { hiddenSize: 2048, layers: 36, heads: 16, kvHeads: 2, intermediateSize: 11008 },
  '7b': { hiddenSize: 3584, layers: 28, heads: 28, kvHeads: 4, intermediateSize: 18944 },
  '30b-a3b': { hiddenSize: 2048, layers: 48, heads: 32, kvHeads: 4, intermediateSize: 768 },
} as const;
const name = (process.argv[2] ?? '3b') as keyof typeof shapes;
const isMixture = name === '30b-a3b';
const batches = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [1, 64, 256];
const [PROMPT, STEPS] = [512, 48];
const dtype = 'bf16';
const sizes = {
  ...shapes[name],
  headDim: 128,
  vocabSize: 151_936,
  ropeTheta: 1e6,
  experts: isMixture ? experts : null,
  qkvBias: !isMixture,
  qkNorm: isMixture,
};
const config = textModel(sizes, isMixture ? qwen3Moe : qwen2);
const { text } = config;

using device = openDevice({ device: 'cuda:0', threads: 4 });
const rng = new Rng([5, 6]);
/** Random numbers that repeat: each element is of no interest, but none may be zero, or make others so. */
const BLOCK = 2 ** 24;
using block = device.allocate(dtype, [BLOCK]);
{
  const tensor = zeros(dtype, [BLOCK]);
  const values = Float32Array.from({ length: BLOCK }, () => 0.06 * (rng.nextUniform() - 0.5));
  writeFloats(tensor, 0, values);
  device.upload(tensor, block);
}
function fill(flat: View): void {
  const size = flat.shape[0]!;
  for (let at = 0; at < size; at += BLOCK) {
    const length = [Math.min(BLOCK, size - at)];
    device.operations.copy(device.part(block, 0, length), device.part(flat, at, length));
  }
}
/** Bytes a second that a copy reads and writes. */
async function copyBandwidth(): Promise<number> {
  const size = 2 ** 30;
  using from = device.allocate('u8', [size]);
  using to = device.allocate('u8', [size]);
  const times: number[] = [];
  for (let i = 0; i < 6; i++) {
    await device.idle();
    const start = performance.now();
    for (let k = 0; k < 8; k++) device.operations.copy(from, to);
    await device.idle();
    times.push(performance.now() - start);
  }
  return (8 * 2 * size * 1000) / median(times);
}
const bandwidth = await copyBandwidth();

const layout = layOut(parameterGroups(config));
const arena = new DeviceArena(layout, device.allocate(dtype, [layout.length]));
fill(arena.flat);
const weights = modelWeights(device, config, 'policy', { arena, adapter: null });
// All but the embedding, of which a step reads a row a sequence.
const weightBytes = (layout.length - text.vocabSize * text.hiddenSize) * bytesPerElement(dtype);
const bytesPerToken = 2 * text.layers * text.kvHeads * text.headDim * bytesPerElement(dtype);

function randomPrompt(): PrefilledPrompt {
  const shape = [PROMPT, text.kvHeads, text.headDim];
  const rows = device.part(block, 0, shape);
  const layers = Array.from({ length: text.layers }, () => ({ key: rows, value: rows }));
  return { layers, index: 0, start: 0, tokens: PROMPT };
}

const sampling = { temperature: 1, topK: -1, topP: 1 };
const samplings = {
  plain: sampling,
  greedy: { ...sampling, temperature: 0 },
  'top-k 50, top-p 0.9': { ...sampling, topK: 50, topP: 0.9 },
};
for (const batch of batches) {
  const sampler = new KernelSampler(device, text.vocabSize, [151_655, 151_656]);
  using logitBias = device.allocate('f32', [text.vocabSize]);
  using controlled = new ControlledSampler(device, sampler, logitBias);
  using decoder = new PagedDecoder({
    device,
    config,
    weights,
    taken: await takeDecoderWeights(config, weights),
    sampler,
    controlled,
    slots: batch,
    capacity: PROMPT + 4 * STEPS,
    memoryShare: 0.9,
  });
  for (let slot = 0; slot < batch; slot++) {
    decoder.enter(slot, { prompt: randomPrompt(), maxTokens: 4 * STEPS });
  }
  let [cached, recordMs] = [PROMPT, 0];
  for (const [kind, drawnBy] of Object.entries(samplings)) {
    const times: number[] = [];
    const from = cached;
    for (let i = 0; i < STEPS; i++, cached++) {
      const rows = Array.from({ length: batch }, (_, slot) => ({
        token: slot + i,
        position: cached,
        cached,
        sampling: drawnBy,
        uniform: rng.nextUniform(),
      }));
      const start = performance.now();
      await decoder.step(rows);
      times.push(performance.now() - start);
    }
    if (from === PROMPT) recordMs = times[0]!;
    const stepMs = median(times.slice(4));
    const bytes = weightBytes + batch * bytesPerToken * ((from + cached) / 2);
    const floorMs = (bytes / bandwidth) * 1000;
    console.log(
      JSON.stringify({
        decode: name,
        batch,
        sampling: kind,
        cached: [from, cached],
        stepMs: +stepMs.toFixed(3),
        tokensPerSecond: Math.round((batch / stepMs) * 1000),
        readOnceMs: +floorMs.toFixed(3),
        timesThat: +(stepMs / floorMs).toFixed(2),
        copyTBs: +(bandwidth / 1e12).toFixed(2),
        recordMs: Math.round(recordMs),
      }),
    );
  }
}

// A whole call of the engine: prompts that differ, prefilled, and 128 tokens of each.
for (const batch of batches) {
  using engine = new GenerationEngine(device, config, arena, {
    maxSequences: batch,
    maxPrefillTokens: 16_384,
    bannedTokens: [151_655],
    memoryShare: 0.8,
  });
  const requests = Array.from({ length: batch }, (_, i) => ({
    prompt: textPrompt(Array.from({ length: PROMPT }, () => rng.nextBelow(150_000))),
    sampling,
    maxTokens: 128,
    stopTokens: [],
    seeds: [[i, 1]] as const,
  }));
  for (const round of ['first', 'again']) {
    const start = performance.now();
    await engine.generate(requests);
    const seconds = (performance.now() - start) / 1000;
    console.log(
      JSON.stringify({
        engine: name,
        batch,
        round,
        seconds: +seconds.toFixed(3),
        tokensPerSecond: Math.round((batch * 128) / seconds),
      }),
    );
  }
}

if (process.env['CXMIND_PROFILE'] !== undefined && device instanceof CudaDevice) {
  const batch = batches.at(-1)!;
  using sampler = new KernelSampler(device, text.vocabSize, []);
  const graph = pagedStepGraph(text, 64, false, undefined, dtype);
  using layer = device.compile(graph);
  using head = device.compile(logitsGraph(text, dtype));
  using workspace = device.workspace();
  const views: Record<string, View> = {};
  const sizes: Readonly<Record<string, number>> = { B: batch, N: batch * 12, M: 12 };
  for (const { name: key, dtype: type, shape } of [...graph.inputs, ...head.graph.inputs]) {
    views[key] = device.allocate(
      type,
      shape.map((dim) => (typeof dim === 'number' ? dim : sizes[dim]!)),
    );
  }
  const column = (value: number): View => {
    const view = device.allocate('f32', [batch, 1]);
    device.upload(tensorOf('f32', [batch, 1], Array<number>(batch).fill(value)), view);
    return view;
  };
  const by = { uniform: column(0.5), topK: column(0), topP: column(1) };
  const every = [...Array(12 * batch).keys()];
  device.upload(tensorOf('i32', [batch, 12], every), views['pages']!);
  device.upload(
    tensorOf('i32', [batch], Array<number>(batch).fill(PROMPT + 64)),
    views['lengths']!,
  );
  const rows = device.allocate('i32', [batch]);
  const run = (): void => {
    workspace.reset();
    const into = { nextKeys: views['keys']!, nextValues: views['values']! };
    layer.run(views, workspace, into);
    const { logits } = head.run(views, workspace);
    sampler.queue({ logits: logits!, rows, ...by }, workspace, workspace.take('f32', [batch, 2]));
  };
  for (let i = 0; i < 3; i++) run();
  const nodes = await nodeTimes(device, run);
  for (const { name: node, startMs, durationMs } of nodes) {
    console.log(`${startMs.toFixed(3).padStart(9)} ${durationMs.toFixed(3).padStart(7)} ${node}`);
  }
}
