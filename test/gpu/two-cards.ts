// Samples a second of one card and of two with the same model and the same samples, optimizer included. On a machine
// with two CUDA cards and NCCL:
//
//   node test/gpu/two-cards.ts [0.5b|1.5b|3b] [samples of a step]
//
// A line of JSON for each number of cards, and a last one with how much faster two are. `optimizerMs` is what follows the
// last backward pass: sum of gradients, AdamW, weights to everybody.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { DeviceCopy, deviceCopyBytes } from '../../actors/device-copy.ts';
import { joinByRank } from '../../actors/joint/rank.ts';
import { openDevice } from '../../src/device/open.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { dividedInto, layOut, parameterCount } from '../../src/model/weights/arena-layout.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import { packSequences, type SequenceInput } from '../../src/model/pack.ts';
import { parameterGroups } from '../../src/model/parameters.ts';
import { Policy } from '../../src/model/policy.ts';
import { Rng } from '../../src/rng.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { Optimization } from '../../src/training/optimization.ts';
import { threadGroup, type ThreadGroupHandle } from '../../transport/collectives/threads.ts';
import { median } from '../support/median.ts';
import { textModel } from '../support/small-sizes.ts';

const shapes = {
  '0.5b': { hiddenSize: 896, layers: 24, heads: 14, headDim: 64, intermediateSize: 4864 },
  '1.5b': { hiddenSize: 1536, layers: 28, heads: 12, headDim: 128, intermediateSize: 8960 },
  '3b': { hiddenSize: 2048, layers: 36, heads: 16, headDim: 128, intermediateSize: 11008 },
} as const;
const [promptLength, responseLength, microBatch] = [512, 512, 8];
const [warmUp, measured] = [3, 7];

interface Task {
  readonly name: keyof typeof shapes;
  readonly samples: number;
  readonly rank: number;
  readonly cards: number;
  readonly group: ThreadGroupHandle | null;
  readonly weights: SharedArrayBuffer;
}

function modelOf(name: keyof typeof shapes): ModelConfig {
  const shape = shapes[name];
  const half = shape.headDim / 2;
  return textModel({
    ...shape,
    kvHeads: 2,
    vocabSize: 151936,
    ropeTheta: 1e6,
    mropeSection: [half / 4, (half * 3) / 8, (half * 3) / 8],
    tieWordEmbeddings: true,
  });
}

const layoutFor = (name: keyof typeof shapes, cards: number) =>
  dividedInto(layOut(parameterGroups(modelOf(name))), cards);

/** Small random weights: a million of them, again and again. */
function randomWeights(name: keyof typeof shapes, cards: number): Arena {
  const arena = new Arena(layoutFor(name, cards));
  const { data } = arena;
  const rng = new Rng([1, 2]);
  const some = Math.min(2 ** 20 - 3, data.length);
  for (let i = 0; i < some; i++) data[i] = 0.04 * (rng.nextUniform() - 0.5);
  for (let at = some; at < data.length; at += some) data.copyWithin(at, 0, some);
  return arena;
}

function sampleOf(rng: Rng): SequenceInput {
  const tokens = (count: number) =>
    tensorOf(
      'i32',
      [count],
      Array.from({ length: count }, () => Math.floor(rng.nextUniform() * 150_000)),
    );
  const positions = Array.from({ length: 3 * promptLength }, (_, i) => i % promptLength);
  return {
    prompt: {
      tokenIds: tokens(promptLength),
      positions: tensorOf('i32', [3, promptLength], positions),
      pixelValues: null,
      grids: [],
    },
    response: tokens(responseLength),
  };
}

async function train({ name, samples, rank, cards, group, weights }: Task) {
  using device = openDevice({ device: `cuda:${rank}`, threads: 4 });
  const config = modelOf(name);
  const arena = new Arena(layoutFor(name, cards), weights);
  const copy = new DeviceCopy(device, arena, 'bf16', sharedBuffer(deviceCopyBytes));
  const seat = group === null ? { kind: 'alone' } : { kind: 'threads', group, rank };
  const joined = (await joinByRank(seat as Parameters<typeof joinByRank>[0], device))!;
  const options = { betas: [0.9, 0.999], weightDecay: 0.01, maxGradNorm: 1 } as const;
  const sharing = { ...joined, sharesWeights: true };
  const optimization = new Optimization(device, arena, options, sharing, copy.arena);
  await copy.handOver();
  const policy = new Policy(device, config, copy.arena, { gradientCheckpointing: false });
  const rng = new Rng([3, 4]);
  const all = Array.from({ length: samples }, () => sampleOf(rng));
  const own = all.filter((_, i) => i % cards === rank);
  const batches = Array.from({ length: Math.ceil(own.length / microBatch) }, (_, i) =>
    packSequences(own.slice(i * microBatch, (i + 1) * microBatch)),
  );
  const times: { readonly whole: number; readonly optimizer: number }[] = [];
  for (let step = 0; step < warmUp + measured; step++) {
    const start = performance.now();
    optimization.clearGradients();
    for (const batch of batches) {
      await policy.accumulateGradients(
        batch,
        1,
        (logProbs) => logProbs.map(() => -1 / (samples * responseLength)),
        optimization.gradients,
      );
    }
    await device.idle();
    const middle = performance.now();
    await optimization.step(1e-5);
    const end = performance.now();
    if (step >= warmUp) times.push({ whole: end - start, optimizer: end - middle });
  }
  // A rank that leaves ends what others are in the middle of.
  await joined.group.barrier();
  await joined.leave();
  policy[Symbol.dispose]();
  optimization[Symbol.dispose]();
  return times;
}

async function measure(name: keyof typeof shapes, samples: number, cards: number) {
  const arena = randomWeights(name, cards);
  const group = cards === 1 ? null : threadGroup(cards);
  const workers = Array.from({ length: cards }, (_, rank) => {
    const task: Task = { name, samples, rank, cards, group, weights: arena.buffer };
    return new Worker(new URL(import.meta.url), { workerData: task });
  });
  const [times] = await Promise.all(
    workers.map(
      (worker) =>
        new Promise<Awaited<ReturnType<typeof train>>>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  const stepMs = median(times!.map(({ whole }) => whole));
  const optimizerMs = median(times!.map(({ optimizer }) => optimizer));
  const tokens = samples * (promptLength + responseLength);
  const result = {
    cards,
    model: name,
    parameters: parameterCount(arena.layout),
    samples,
    stepMs: +stepMs.toFixed(1),
    optimizerMs: +optimizerMs.toFixed(1),
    samplesPerSecond: +((1000 * samples) / stepMs).toFixed(2),
    tokensPerSecond: Math.round((1000 * tokens) / stepMs),
  };
  console.log(JSON.stringify(result));
  return result.samplesPerSecond;
}

if (isMainThread) {
  const name = (process.argv[2] ?? '1.5b') as keyof typeof shapes;
  const samples = Number(process.argv[3] ?? 64);
  const one = await measure(name, samples, 1);
  const two = await measure(name, samples, 2);
  console.log(JSON.stringify({ speedup: +(two / one).toFixed(3) }));
} else {
  parentPort!.postMessage(await train(workerData as Task));
}
