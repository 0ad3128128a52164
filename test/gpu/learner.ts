// Time of training steps of a whole Qwen2.5-VL of 3 B shape in bf16 on one card, 24 k tokens in micro-batches and AdamW
// included: `node test/gpu/learner.ts [tokens a micro-batch] [checkpointing]`. Beside it: test/gpu/peers/learner.py.
import { openDevice } from '../../src/device/open.ts';
import { trainingFlops, peakTflops } from '../../actors/trainer/report/utilization.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { layOut } from '../../src/model/weights/arena-layout.ts';
import { decodeModelConfig } from '../../src/model/checkpoint/config-file.ts';
import { DeviceArena } from '../../src/model/weights/device-arena.ts';
import { packSequences, type SequenceInput } from '../../src/model/pack.ts';
import { parameterGroups } from '../../src/model/parameters.ts';
import { Policy } from '../../src/model/policy.ts';
import { Rng } from '../../src/rng.ts';
import { reshaped, tensorOf, zeros } from '../../src/tensor/tensor.ts';
import { alone } from '../../src/training/learner-group.ts';
import { Optimization } from '../../src/training/optimization.ts';
import { median } from '../support/median.ts';
import { qwen3b } from '../unit/plan/configs.ts';

const microTokens = Number(process.argv[2] ?? 8192);
const gradientCheckpointing = process.argv[3] === 'checkpointing';
const [sequences, length, prompt] = [24, 1024, 512];
const config = decodeModelConfig({ ...qwen3b, tie_word_embeddings: false }, 'learner.ts');

const device = openDevice({ device: 'cuda:0', threads: 4 });
const layout = layOut(parameterGroups(config));
const weights = new Arena(layout);
const working = new DeviceArena(layout, device.allocate('bf16', [layout.length]));
const rng = new Rng([4, 7]);
{
  using workspace = device.workspace();
  const noise = zeros('f32', [2 ** 24]);
  for (let i = 0; i < noise.data.length; i++) noise.data[i] = 0.02 * rng.nextNormal();
  const drawn = workspace.put(noise);
  for (const { name, shape, size } of layout.entries) {
    const view = reshaped(working.span([name]), [size]);
    if (shape.length === 1) {
      noise.data.fill(name.endsWith('.bias') ? 0 : 1, 0, size);
      device.operations.copy(
        workspace.put(tensorOf('f32', [size], Array.from(noise.data.subarray(0, size)))),
        view,
      );
      continue;
    }
    for (let start = 0; start < size; start += 2 ** 24) {
      const count = Math.min(2 ** 24, size - start);
      device.operations.copy(device.part(drawn, 0, [count]), device.part(view, start, [count]));
    }
  }
}
const pixels = zeros('f32', [80, 1176]);
for (let i = 0; i < pixels.data.length; i++) pixels.data[i] = rng.nextNormal();
const samples = Array.from({ length: sequences }, (): SequenceInput => {
  const ids = zeros('i32', [prompt]);
  for (let i = 0; i < prompt; i++) ids.data[i] = rng.nextBelow(150_000);
  ids.data[0] = 151_652;
  ids.data.fill(151_655, 1, 21);
  ids.data[21] = 151_653;
  const response = zeros('i32', [length - prompt]);
  for (let i = 0; i < response.data.length; i++) response.data[i] = rng.nextBelow(150_000);
  const row = Array.from(ids.data.keys());
  return {
    prompt: {
      tokenIds: ids,
      positions: tensorOf('i32', [3, prompt], [...row, ...row, ...row]),
      pixelValues: { ...pixels, data: pixels.data.slice() },
      grids: [[1, 8, 10]],
    },
    response,
  };
});
using policy = new Policy(device, config, working, { gradientCheckpointing });
using optimization = new Optimization(
  device,
  weights,
  { betas: [0.9, 0.999], weightDecay: 0, maxGradNorm: 1, strategy: 'adamw_bf16', storage: 'bf16' },
  { group: alone, sharesWeights: true },
  working,
);
const size = Math.floor(microTokens / length);
const seconds: { whole: number; optimizer: number }[] = [];
const losses: number[] = [];
for (let step = 0; step < 6; step++) {
  const start = performance.now();
  optimization.clearGradients();
  let loss = 0;
  for (let at = 0; at < sequences; at += size) {
    await policy.accumulateGradients(
      packSequences(samples.slice(at, at + size)),
      1,
      (logProbs) => {
        loss -= logProbs.reduce((sum, value) => sum + value, 0);
        return logProbs.map(() => -1 / (sequences * (length - prompt)));
      },
      optimization.gradients,
    );
  }
  await device.idle();
  const middle = performance.now();
  const gradientNorm = await optimization.step(1e-5);
  await device.idle();
  const end = performance.now();
  losses.push(loss / (sequences * (length - prompt)));
  if (!Number.isFinite(gradientNorm)) throw new Error('the gradient is not finite');
  seconds.push({ whole: (end - start) / 1000, optimizer: (end - middle) / 1000 });
}
const whole = median(seconds.slice(2).map((one) => one.whole));
const flops = trainingFlops(config.text, Array<number>(sequences).fill(length));
console.log(
  JSON.stringify({
    learner: '3b-vl bf16',
    parameters: layout.length,
    tokens: sequences * length,
    microTokens,
    gradientCheckpointing,
    seconds: +whole.toFixed(3),
    optimizerSeconds: +median(seconds.slice(2).map((one) => one.optimizer)).toFixed(3),
    mfu: +(flops / whole / 1e12 / peakTflops('H100')).toFixed(3),
    workspaceMiB: Math.round(policy.workspaceBytes / 2 ** 20),
    losses: losses.map((loss) => +loss.toFixed(3)),
  }),
);
