import assert from 'node:assert/strict';
import { DeviceCopy, deviceCopyBytes } from '../../actors/device-copy.ts';
import type { Device } from '../../src/device/device.ts';
import { downloadFloats } from '../../src/device/float-transfer.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { contentLength, dividedInto, layOut } from '../../src/model/weights/arena-layout.ts';
import type { DeviceArena } from '../../src/model/weights/device-arena.ts';
import { keyOf, Rng } from '../../src/rng.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { roundTo } from '../../src/tensor/half.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import type { Sharing } from '../../src/training/exchange.ts';
import { Optimization, type OptimizationOptions } from '../../src/training/optimization.ts';

/** Ways to train weights: their compute dtypes and options, by name. */
export const trainingKinds = {
  'in float32': ['f32', {}],
  'in bfloat16 beside those in float32': ['bf16', {}],
  'in bfloat16 alone, with a compensation': ['bf16', { storage: 'bf16', strategy: 'adamw_bf16' }],
} as const satisfies Readonly<Record<string, [FloatDType, Partial<OptimizationOptions>]>>;
/** Name of a way to train weights. */
export type TrainingKind = keyof typeof trainingKinds;

const layout = layOut([[{ name: 'a', shape: [37, 3] }], [{ name: 'b', shape: [70, 5] }]]);
/** Elements of the weights, padding left out. */
export const steppedLength = contentLength(layout);

/** Numbers whose sums and squares float32 and float64 hold exactly, in any order. */
function draw(purpose: string): Float32Array {
  const rng = new Rng(keyOf('stepped learner', purpose));
  return Float32Array.from({ length: steppedLength }, () => Math.round(rng.nextNormal() * 64) / 64);
}

/** Weights for so many learners of one process, as they are to begin with. */
export function steppedWeights(kind: TrainingKind, learners: number): Arena {
  const arena = new Arena(dividedInto(layout, learners));
  arena.data.set(draw('weights'));
  if (kind.endsWith('compensation')) roundTo('bf16', arena.data);
  return arena;
}

/** One of the learners of some weights on a device with memory of its own, with gradients that are known. */
export class SteppedLearner implements Disposable {
  readonly optimization: Optimization;
  readonly #device: Device;
  readonly #working: DeviceArena;
  readonly #rank: number;
  readonly #learners: number;

  private constructor(
    device: Device,
    working: DeviceArena,
    { group }: Pick<Sharing, 'group'>,
    optimization: Optimization,
  ) {
    this.#device = device;
    this.#working = working;
    this.#rank = group.rank;
    this.#learners = group.size;
    this.optimization = optimization;
  }

  /** @param weights of this learner; to save or take them, in memory that all learners see */
  static async open(
    device: Device,
    weights: Arena,
    kind: TrainingKind,
    joined: Pick<Sharing, 'group' | 'exchange'>,
  ): Promise<SteppedLearner> {
    const [dtype, own] = trainingKinds[kind];
    const copy = new DeviceCopy(device, weights, dtype, sharedBuffer(deviceCopyBytes));
    await copy.handOver();
    const options = { betas: [0.9, 0.999], weightDecay: 0.01, maxGradNorm: 1, ...own } as const;
    const sharing = { ...joined, sharesWeights: true };
    const optimization = new Optimization(device, weights, options, sharing, copy.arena);
    return new SteppedLearner(device, copy.arena, joined, optimization);
  }

  /** One step, with gradients whose sum over the learners does not depend on how many they are. */
  async step(number: number): Promise<number> {
    const own = draw(this.#rank === 0 ? `gradients ${number}` : `part ${this.#rank}`);
    // The first learner takes off what the others add.
    for (let rank = 1; this.#rank === 0 && rank < this.#learners; rank++) {
      for (const [i, value] of draw(`part ${rank}`).entries()) own[i]! -= value;
    }
    const { flat } = this.optimization.gradients;
    this.optimization.clearGradients();
    const target = this.#device.part(flat, 0, [steppedLength]);
    this.#device.upload(tensorOf('f32', [steppedLength], own), target);
    const gradientNorm = await this.optimization.step(0.01);
    assert.ok(Number.isFinite(gradientNorm));
    return gradientNorm;
  }

  /** Weights that a model computes with, as f32. */
  async computed(): Promise<Float32Array> {
    const numbers = new Arena(this.#working.layout);
    await downloadFloats(this.#device, this.#working.flat, numbers.flat);
    return numbers.data.slice(0, steppedLength);
  }

  [Symbol.dispose](): void {
    this.optimization[Symbol.dispose]();
  }
}
