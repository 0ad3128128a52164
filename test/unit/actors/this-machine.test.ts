import assert from 'node:assert/strict';
import { devicesOf, withDevice } from '../../../actors/trainer/this-machine.ts';
import type { Machine } from '../../../src/device/choose.ts';
import { CxmindError } from '../../../src/errors.ts';
import { decodedConfig } from '../../support/decoded-config.ts';
import { effectOf } from '../../support/effect.ts';

/** A machine with so many cards. */
function machineWith(count: number): Machine {
  return {
    countCards: () => count,
    tryDevice: (device) => {
      if (Number(device.split(':')[1]) < count) return;
      throw new CxmindError('DEVICE_MISSING', `no ${device}, try \`nvidia-smi\``);
    },
  };
}

/** Devices that a run takes of a machine with so many cards, and the notes to its user. */
function taken(trainer: object, count: number) {
  const worker = { actor: { global_batch_size: 12 }, rollout: { n: 4 } };
  const given = decodedConfig({ worker, trainer });
  const notes: string[] = [];
  const config = withDevice(given, (line) => notes.push(line), machineWith(count));
  return {
    devices: devicesOf(config.trainer),
    notes,
    samples: config.worker.actor.globalBatchSizePerDevice,
  };
}

describe('trainer.device', () => {
  effectOf('trainer.n_gpus_per_node');
  it('is all cards of the machine, up to the number that is wanted', () => {
    assert.deepEqual(taken({ device: 'cuda' }, 2), {
      devices: ['cuda:0', 'cuda:1'],
      notes: ['device: cuda:0, cuda:1'],
      samples: 24,
    });
    assert.deepEqual(taken({ device: 'cuda', n_gpus_per_node: 3 }, 4), {
      devices: ['cuda:0', 'cuda:1', 'cuda:2'],
      notes: ['device: cuda:0, cuda:1, cuda:2 of 4 cards'],
      samples: 16,
    });
  });

  effectOf('trainer.local_mode');
  it('is one card where actors share a thread', () => {
    assert.throws(() => taken({ device: 'cuda', local_mode: true }, 2), {
      code: 'CONFIG_INVALID',
      message: /^trainer.local_mode: 2 cards/,
    });
    assert.deepEqual(taken({ device: 'cuda', local_mode: true }, 1).devices, ['cuda:0']);
  });

  it('is one card where any device would do', () => {
    for (const [count, note] of [
      [1, 'device: cuda:0'],
      [2, 'device: cuda:0 of 2 cards'],
    ] as const) {
      const expected = { devices: ['cuda:0'], notes: [note], samples: 48 };
      assert.deepEqual(taken({ device: 'auto' }, count), expected);
    }
  });

  it('is the one card that is named, or the processor', () => {
    const rest = { notes: [], samples: 48 };
    assert.deepEqual(taken({ device: 'cuda:1' }, 4), { devices: ['cuda:1'], ...rest });
    assert.deepEqual(taken({ device: 'cpu' }, 4), { devices: ['cpu'], ...rest });
  });

  it('is the processor where any would do and no card can be used, and says why', () => {
    const { devices, notes } = taken({ device: 'auto' }, 0);
    assert.deepEqual(devices, ['cpu']);
    assert.deepEqual(notes, ['device: cpu, since no cuda:0, try `nvidia-smi`']);
  });

  it('refuses to train elsewhere than it was told', () => {
    for (const device of ['cuda', 'cuda:2']) {
      assert.throws(() => taken({ device }, 0), { code: 'DEVICE_MISSING' });
    }
  });

  it('comes to the same, asked again', () => {
    const given = decodedConfig({ trainer: { device: 'cuda' } });
    const quiet = (): void => undefined;
    const once = withDevice(given, quiet, machineWith(2));
    assert.deepEqual(withDevice(once, quiet, machineWith(2)), once);
  });
});
