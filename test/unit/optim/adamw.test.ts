import assert from 'node:assert/strict';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { AdamW } from '../../../src/optim/adamw.ts';
import { Rng, keyOf } from '../../../src/rng.ts';
import { fileBuffer } from '../../../src/tensor/file-memory.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import { FarDevice } from '../../support/far-device.ts';
import { adamWOver } from '../../support/flat-adamw.ts';
import { assertClose } from '../../support/assert-close.ts';
import { residentBytes } from '../../support/resident-memory.ts';

const betas = [0.9, 0.999] as const;
const eps = 1e-8;

/** The formula of the specification, in float64. */
class ReferenceAdamW {
  readonly p: Float64Array;
  readonly #m: Float64Array;
  readonly #v: Float64Array;
  readonly #weightDecay: number;
  #step = 0;

  constructor(parameters: ArrayLike<number>, weightDecay: number) {
    this.p = Float64Array.from(parameters);
    this.#m = new Float64Array(parameters.length);
    this.#v = new Float64Array(parameters.length);
    this.#weightDecay = weightDecay;
  }

  step(gradients: ArrayLike<number>, lr: number): void {
    const t = ++this.#step;
    for (let i = 0; i < this.p.length; i++) {
      const g = gradients[i]!;
      const decayed = this.p[i]! * (1 - lr * this.#weightDecay);
      const m = (this.#m[i] = betas[0] * this.#m[i]! + (1 - betas[0]) * g);
      const v = (this.#v[i] = betas[1] * this.#v[i]! + (1 - betas[1]) * g * g);
      const denominator = Math.sqrt(v) / Math.sqrt(1 - betas[1] ** t) + eps;
      this.p[i] = decayed - ((lr / (1 - betas[0] ** t)) * m) / denominator;
    }
  }
}

const checkGradients = [
  [0.1, -0.2, 0.3],
  [0.05, 0.1, -0.4],
  [0, 0.3, 0.2],
];
const checkParameters = [
  [0.989900001, -1.9898000005, 0.4899500003],
  [0.9804792158, -1.9869376503, 0.4918361094],
  [0.9731753934, -1.9906328542, 0.4908017632],
];

describe('AdamW', () => {
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  it('gives the check values in float32, as the formula does in float64', async () => {
    const parameters = tensorOf('f32', [3], [1, -2, 0.5]).data;
    const gradients = zeros('f32', [3]).data;
    using optimizer = adamWOver(device, { parameters, gradients, betas, weightDecay: 0.01, eps });
    const reference = new ReferenceAdamW([1, -2, 0.5], 0.01);
    for (const [i, step] of checkGradients.entries()) {
      gradients.set(step);
      await optimizer.step(0.01, 1);
      reference.step(step, 0.01);
      assertClose(reference.p, checkParameters[i]!, { atol: 1e-10 });
      assertClose(parameters, checkParameters[i]!, { rtol: 3e-7 });
    }
    assert.equal(optimizer.steps, 3);
  });

  it('updates every slice of an arena, scaled gradients and a last short slice among them', async () => {
    const length = 32768 * 2 + 137;
    const rng = new Rng(keyOf('adamw test'));
    const draw = (): number[] => Array.from({ length }, () => rng.nextNormal());
    const parameters = tensorOf('f32', [length], draw()).data;
    const gradients = tensorOf('f32', [length], draw()).data;
    const reference = new ReferenceAdamW(parameters, 0.1);
    using optimizer = adamWOver(device, { parameters, gradients, betas, weightDecay: 0.1, eps });
    const before = gradients.slice();
    for (const [lr, scale] of [
      [0, 1],
      [0.01, 0.25],
      [0.003, 1],
    ] as const) {
      await optimizer.step(lr, scale);
      reference.step(
        gradients.map((gradient) => gradient * scale),
        lr,
      );
    }
    assertClose(parameters, reference.p, { rtol: 1e-6, atol: 1e-7 });
    assert.deepEqual(gradients, before);
  });

  for (const [strategy, storage] of [
    ['adamw', 'f32'],
    ['adamw_bf16', 'bf16'],
  ] as const) {
    it(`goes on from a saved state bit for bit, by ${strategy}`, async () => {
      const gradients = tensorOf('f32', [3], [0.1, -0.2, 0.3]).data;
      const options = { gradients, betas, weightDecay: 0.01, eps, strategy, storage };
      const [whole, halves] = [0, 1].map(() => tensorOf('f32', [3], [1, -2, 0.5]).data);
      using through = adamWOver(device, { ...options, parameters: whole! });
      using first = adamWOver(device, { ...options, parameters: halves! });
      using second = adamWOver(device, { ...options, parameters: halves! });
      for (let i = 0; i < 4; i++) await through.step(0.01, 1);
      for (let i = 0; i < 2; i++) await first.step(0.01, 1);
      second.load(await first.state());
      for (let i = 0; i < 2; i++) await second.step(0.01, 1);
      assert.deepEqual(halves, whole);
      assert.deepEqual(await second.state(), await through.state());
    });
  }

  it('has no more of its state and of parameters in memory than a slice, where those lie in files', async () => {
    const length = 2 ** 18 + 137;
    const rng = new Rng(keyOf('adamw offload test'));
    const draw = (): number[] => Array.from({ length }, () => rng.nextNormal());
    const resident = tensorOf('f32', [length], draw());
    const offloaded = zeros('f32', [length], fileBuffer);
    offloaded.data.set(resident.data);
    const gradients = tensorOf('f32', [length], draw()).data;
    const options = { gradients, betas, weightDecay: 0.1, eps };
    using expected = adamWOver(device, { ...options, parameters: resident.data });
    using optimizer = adamWOver(device, {
      ...options,
      parameters: offloaded.data,
      offloadsState: true,
    });
    for (let step = 0; step < 2; step++) {
      await expected.step(0.01, 0.5);
      await optimizer.step(0.01, 0.5);
    }
    const state = await optimizer.state();
    for (const { data } of [offloaded, state.m, state.v]) {
      assert.equal(residentBytes(data.buffer), 0);
    }
    assert.deepEqual(state, await expected.state());
    assert.deepEqual(offloaded.data, resident.data);
  });

  it('brings state and parameters to a device with memory of its own slice by slice', async () => {
    using far = new FarDevice();
    const length = 2 ** 22 + 2 ** 17;
    const parameters = zeros('f32', [length]);
    const gradients = zeros('f32', [length]);
    for (let i = 0; i < length; i++) {
      parameters.data[i] = (i % 7) - 3;
      gradients.data[i] = (i % 5) - 2;
    }
    const there = { ...parameters, data: parameters.data.slice() };
    const resident = far.allocate('f32', [length]);
    far.upload(gradients, resident);
    const options = { betas, weightDecay: 0.1, eps };
    const { data } = parameters;
    using expected = adamWOver(device, { ...options, parameters: data, gradients: gradients.data });
    const before = far.mostBytes;
    const offloaded = { parameters: there, gradients: resident, offloadsState: true };
    using optimizer = new AdamW(far, { ...options, ...offloaded });
    for (let step = 0; step < 2; step++) {
      await expected.step(0.01, 0.5);
      await optimizer.step(0.01, 0.5);
    }
    // Of parameters and of both moments a slice, and some numbers besides.
    assert.ok(far.mostBytes - before <= 3 * 4 * 2 ** 22 + 64, `${far.mostBytes - before} bytes`);
    assert.deepEqual(there.data, parameters.data);
    assert.deepEqual(await optimizer.state(), await expected.state());
  });

  it('refuses gradients or a state of another length', () => {
    const [three, two] = [zeros('f32', [3]).data, zeros('f32', [2]).data];
    const options = { parameters: three, gradients: three, betas, weightDecay: 0, eps };
    assert.throws(() => adamWOver(device, { ...options, gradients: two }), {
      code: 'SHAPE_MISMATCH',
    });
    using optimizer = adamWOver(device, options);
    const short = zeros('f32', [2]);
    assert.throws(() => optimizer.load({ m: short, v: short, step: 1 }), {
      code: 'CHECKPOINT_INVALID',
    });
  });
});
