import { availableParallelism } from 'node:os';
import { Policy } from '../../src/model/policy.ts';
import { openDevice } from '../../src/device/open.ts';
import { Optimization } from '../../src/training/optimization.ts';
import { compare, now, print, type Measured } from './harness.ts';
import { configOf, demo, randomBatch, randomModel, tiny, type BenchModel } from './model.ts';
import { Peer } from './peer.ts';

async function benchModel(
  name: string,
  model: BenchModel,
  batch: number,
  length: number,
): Promise<void> {
  const threads = availableParallelism();
  using device = openDevice({ threads });
  const { config, arena } = randomModel(model);
  await using peer = Peer.start('torch eager', 'train.py', { config: configOf(model), threads });
  for (const gradientCheckpointing of [false, true]) {
    using policy = new Policy(device, config, arena, { gradientCheckpointing });
    using optimization = new Optimization(device, arena, {
      betas: [0.9, 0.999],
      weightDecay: 0,
      maxGradNorm: 1,
    });
    const sequences = randomBatch(model, batch, length);
    const weights = new Float32Array(sequences.scoredRows.length).fill(-1 / (batch * length));
    /** One optimizer step: forward, backward, clipped AdamW. */
    const ours = async (): Promise<Measured> => {
      const start = now();
      let forward = start;
      optimization.clearGradients();
      const lossGradient = (): Float32Array => {
        forward = now();
        return weights;
      };
      await policy.accumulateGradients(sequences, 1, lossGradient, optimization.gradients);
      const backward = now();
      await optimization.step(1e-5);
      const end = now();
      return {
        step: end - start,
        forward: forward - start,
        backward: backward - forward,
        optimizer: end - backward,
      };
    };
    const params = { model: name, batch, length, checkpointing: String(gradientCheckpointing) };
    await compare(
      { name: 'learner', params, unit: 's' },
      ours,
      gradientCheckpointing ? undefined : peer,
    );
    print({ name: 'learner.workspace', params, unit: 'MiB' }, [policy.workspaceBytes / 2 ** 20]);
  }
}

/** Seconds per optimizer step on packed sequences, every token but the first of each scored. */
export async function benchLearner(): Promise<void> {
  await benchModel('tiny', tiny, 8, 256);
  await benchModel('demo', demo, 32, 128);
}
