import assert from 'node:assert/strict';
import { DeviceArena, type AnyArena } from '../../../src/model/weights/device-arena.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { modelModules } from '../../../src/model/parameters.ts';
import { Policy } from '../../../src/model/policy.ts';
import { FarDevice } from '../../support/far-device.ts';
import { goldenSequences, loadGoldenModel } from '../../support/golden-model.ts';

describe('OffloadedModules', () => {
  it('makes a pass come to the same bits, and has one module on the device at a time', async () => {
    using device = new FarDevice();
    const { config, arena } = await loadGoldenModel('micro-vl');
    const onDevice = (from: AnyArena): DeviceArena => {
      const whole = device.allocate('f32', [from.layout.length]);
      return new DeviceArena(from.layout, whole);
    };
    const batch = packSequences(goldenSequences().slice(0, 1));
    const pass = async (weights: AnyArena): Promise<unknown> => {
      const gradients = onDevice(arena) as DeviceArena<'f32'>;
      using policy = new Policy(device, config, weights, { gradientCheckpointing: true });
      await policy.accumulateGradients(batch, 0.7, (logProbs) => logProbs.map(Math.sin), gradients);
      const logProbs = await policy.logProbs(batch, 0.7);
      return [logProbs, await device.download(gradients.flat)];
    };
    const offloaded = await pass(arena);
    const sizes = [...modelModules(config, 'policy').values()].map(({ inputs }) =>
      Object.values(inputs)
        .flatMap(({ parameters }) => parameters)
        .reduce((sum, { name }) => sum + arena.tensor(name).data.byteLength, 0),
    );
    assert.ok(device.mostBytes > arena.byteLength, 'gradients and a module are on the device');
    assert.ok(device.mostBytes <= arena.byteLength + Math.max(...sizes), `${device.mostBytes}`);
    const resident = onDevice(arena);
    device.upload(arena.flat, resident.flat);
    assert.deepEqual(offloaded, await pass(resident));
  });
});
