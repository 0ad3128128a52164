import assert from 'node:assert/strict';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { bf16ToNumber } from '../../../src/tensor/dtype.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import { adamWOver } from '../../support/flat-adamw.ts';
import { goldenJson } from '../../support/golden.ts';

interface Case {
  readonly parameters: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly after: readonly Readonly<Record<'p' | 'm' | 'v' | 'c', readonly number[]>>[];
}
interface Golden extends Readonly<Record<'bf16' | 'f32', Case>> {
  readonly options: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly weight_decay: number;
    readonly eps: number;
  };
}

const betas = [0.9, 0.999] as const;

describe('AdamW with bf16 moments', () => {
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  it('gives the check values of the specification, to the bit', async () => {
    const parameters = tensorOf('f32', [3], [1, -2, 0.5]).data;
    const gradients = zeros('f32', [3]).data;
    using optimizer = adamWOver(device, {
      parameters,
      gradients,
      betas,
      weightDecay: 0.01,
      eps: 1e-8,
      strategy: 'adamw_bf16',
      storage: 'bf16',
    });
    const seen: number[][] = [];
    for (const step of [
      [0.1, -0.2, 0.3],
      [0.05, 0.1, -0.4],
      [0, 0.3, 0.2],
    ]) {
      gradients.set(step);
      await optimizer.step(0.01, 1);
      seen.push([...parameters]);
    }
    assert.deepEqual(seen, [
      [0.98828125, -1.9921875, 0.490234375],
      [0.98046875, -1.984375, 0.4921875],
      [0.97265625, -1.9921875, 0.490234375],
    ]);
  });

  const golden = goldenJson('adamw-bf16/cases.json') as Golden;
  for (const storage of ['bf16', 'f32'] as const) {
    it(`steps as torch does over weights in ${storage}, to the bit`, async () => {
      const { lr, weight_decay: weightDecay, ...constants } = golden.options;
      const { parameters: start, gradients: given, after } = golden[storage];
      const parameters = tensorOf('f32', [start.length], start).data;
      const gradients = zeros('f32', [start.length]).data;
      const options = { parameters, gradients, ...constants, weightDecay, storage };
      using optimizer = adamWOver(device, { ...options, strategy: 'adamw_bf16' });
      for (const [i, step] of given.entries()) {
        gradients.set(step);
        await optimizer.step(lr, 1);
        const { m, v, c } = await optimizer.state();
        for (const [name, state] of Object.entries({ m, v, c: c! })) {
          const expected = after[i]![name as 'm' | 'v' | 'c'];
          assert.deepEqual(
            Array.from(state.data, bf16ToNumber),
            expected,
            `${name} after ${i + 1}`,
          );
        }
        assert.deepEqual([...parameters], after[i]!.p, `p after ${i + 1}`);
      }
    });
  }

  it('does not lose steps that are too small for a weight in bf16', async () => {
    const drift = async (strategy: 'adamw' | 'adamw_bf16'): Promise<number> => {
      const parameters = tensorOf('f32', [1], [1]).data;
      const gradients = tensorOf('f32', [1], [0.5]).data;
      const options = { parameters, gradients, betas, weightDecay: 0, eps: 1e-8 };
      using optimizer = adamWOver(device, { ...options, strategy, storage: 'bf16' });
      for (let step = 0; step < 100; step++) await optimizer.step(1e-4, 1);
      return parameters[0]!;
    };
    // Half a unit of bf16 below 1 is 0.002: no single step of 0.0001 moves the weight.
    assert.equal(await drift('adamw'), 1);
    const moved = 1 - (await drift('adamw_bf16'));
    assert.ok(Math.abs(moved - 0.01) < 0.004, `moved by ${moved}`);
  });

  it('refuses the state of another strategy', async () => {
    const [parameters, gradients] = [zeros('f32', [3]).data, zeros('f32', [3]).data];
    const options = { parameters, gradients, betas, weightDecay: 0.01, eps: 1e-8 };
    using optimizer = adamWOver(device, { ...options, strategy: 'adamw_bf16', storage: 'bf16' });
    using plain = adamWOver(device, options);
    const state = await plain.state();
    assert.throws(() => optimizer.load(state), {
      code: 'CHECKPOINT_INVALID',
      message: /optim\.strategy/,
    });
  });
});
