import assert from 'node:assert/strict';
import { DeviceCopy, deviceCopyBytes, forgetDeviceCopy } from '../../../actors/device-copy.ts';
import type { Device } from '../../../src/device/device.ts';
import { downloadFloats } from '../../../src/device/float-transfer.ts';
import { openDevice } from '../../../src/device/open.ts';
import { Arena } from '../../../src/model/arena.ts';
import { DeviceArena, type AnyArena } from '../../../src/model/device-arena.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { visionLength } from '../../../src/model/parameters.ts';
import { Policy } from '../../../src/model/policy.ts';
import type { FloatDType } from '../../../src/tensor/dtype.ts';
import { writeFloats } from '../../../src/tensor/numbers.ts';
import { roundTo } from '../../../src/tensor/half.ts';
import { alone } from '../../../src/training/learner-group.ts';
import { Optimization, type OptimizationOptions } from '../../../src/training/optimization.ts';
import { conformsToDevice } from '../../conformance/device.ts';
import { FarDevice } from '../../support/far-device.ts';
import { goldenSequences, loadGoldenModel } from '../../support/golden-model.ts';

conformsToDevice('a device with memory of its own', () => new FarDevice());

describe('weights in a device’s own memory', () => {
  let host: Device;
  let far: Device;
  before(() => {
    host = openDevice({ threads: 2 });
    far = new FarDevice(2);
  });
  after(() => {
    host[Symbol.dispose]();
    far[Symbol.dispose]();
  });

  const usual = { betas: [0.9, 0.999], weightDecay: 0.01, maxGradNorm: 1 } as const;
  const kinds: Readonly<Record<string, [FloatDType, Partial<OptimizationOptions>]>> = {
    'in float32': ['f32', {}],
    'in bfloat16 beside those in float32': ['bf16', {}],
    'in bfloat16 alone, with a compensation': [
      'bf16',
      { storage: 'bf16', strategy: 'adamw_bf16', reduction: 'bf16' },
    ],
  };

  for (const [kind, [dtype, own]] of Object.entries(kinds)) {
    for (const isFrozen of [false, true]) {
      it(`are trained as the processor trains them, ${kind}${isFrozen ? ', in part' : ''}`, async () => {
        /** The weights after two steps, as a checkpoint would have them. */
        const trained = async (device: Device): Promise<Float32Array> => {
          const { config, arena } = await loadGoldenModel('micro-vl');
          const options = { ...usual, ...own };
          if (options.storage === 'bf16') roundTo('bf16', arena.data);
          const start = isFrozen ? visionLength(config) : 0;
          const working = await placed(device, arena, dtype);
          const network = { gradientCheckpointing: false, isVisionFixed: isFrozen };
          using policy = new Policy(device, config, working, network);
          const weights = arena.from(start);
          using optimization = new Optimization(
            device,
            weights,
            options,
            { group: alone, sharesWeights: true },
            working === arena ? weights : working.from(start),
          );
          for (let step = 0; step < 2; step++) {
            optimization.clearGradients();
            await policy.accumulateGradients(
              packSequences(goldenSequences()),
              1,
              (logProbs) => logProbs.map(() => -1 / logProbs.length),
              optimization.gradients,
            );
            assert.ok((await optimization.step(1e-2)).applied);
          }
          await optimization.collectWeights();
          return arena.data;
        };
        const [here, there] = [await trained(host), await trained(far)];
        const { arena: before } = await loadGoldenModel('micro-vl');
        assert.notDeepEqual(there, before.data);
        assert.deepEqual(there, here);
      });
    }
  }

  /** Weights as a model computes with them on a device. */
  async function placed(device: Device, arena: Arena, dtype: FloatDType): Promise<AnyArena> {
    if (device.host === null) {
      const copy = new DeviceCopy(device, arena, dtype, new SharedArrayBuffer(deviceCopyBytes));
      await copy.handOver();
      return copy.arena;
    }
    if (dtype === 'f32') return arena;
    const copy = new Arena(arena.layout, undefined, dtype);
    writeFloats(copy.flat, 0, arena.data);
    return copy;
  }

  it('are one copy for all, filled once a version, and no more once learners step it', async () => {
    const { arena } = await loadGoldenModel('micro-text');
    const memory = new SharedArrayBuffer(deviceCopyBytes);
    const [one, other] = [0, 1].map(() => new DeviceCopy(far, arena, 'f32', memory));
    const held = async (): Promise<number> => {
      const numbers = new Arena(arena.layout);
      await downloadFloats(far, other!.arena.flat, numbers.flat);
      return numbers.data[0]!;
    };
    const write = (value: number): void => void (arena.data[0] = value);
    write(1);
    await one!.bring(7);
    assert.equal(await held(), 1);
    write(2);
    await other!.bring(7);
    assert.equal(await held(), 1);
    await other!.bring(8);
    assert.equal(await held(), 2);
    write(3);
    await one!.handOver();
    write(4);
    await other!.bring(9);
    assert.equal(await held(), 3);
    forgetDeviceCopy(memory);
    await other!.bring(9);
    assert.equal(await held(), 4);
    assert.ok(one!.arena instanceof DeviceArena);
  });
});
