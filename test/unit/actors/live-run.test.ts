import assert from 'node:assert/strict';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import { LiveRun } from '../../../actors/trainer/report/live-run.ts';
import { Timeline } from '../../../actors/trainer/report/timeline.ts';
import { MemoryGauge, type DeviceMemory } from '../../../src/device/memory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

const newSystem = (): ActorSystem =>
  new ActorSystem({ logger: keepingLogger().logger, signal: new AbortController().signal });

const card: DeviceMemory = { device: 'cuda:0', freeBytes: 3 * 2 ** 30, totalBytes: 8 * 2 ** 30 };

const liveRun = (system: ActorSystem): LiveRun =>
  new LiveRun({
    ...{ system, timeline: new Timeline(), device: 'cpu', devices: new Map() },
    gauge: new MemoryGauge(() => [card]),
    samples: { rollout: null, validation: null },
  });

describe('LiveRun', () => {
  it('is stopping from the wish to stop until the end, whether it had begun or not', async () => {
    await using system = newSystem();
    using live = liveRun(system);
    const states = [live.status().state];
    const then = (change: () => void): void => {
      change();
      states.push(live.status().state);
    };
    then(() => live.stops());
    then(() => live.begins(0, 3));
    then(() => live.ends('stopped'));
    then(() => live.stops());
    assert.deepEqual(states, ['starting', 'stopping', 'stopping', 'stopped', 'stopped']);
  });

  it('tells of the memory of its process, and of devices that tell of theirs', async () => {
    await using system = newSystem();
    using live = liveRun(system);
    const { memory, deviceMemory } = live.status();
    assert.ok(memory.residentBytes > 0 && memory.residentBytes < memory.totalBytes);
    assert.deepEqual(deviceMemory, [card]);
  });

  it('has the place that it recalls until it begins', async () => {
    await using system = newSystem();
    using live = liveRun(system);
    const place = (): unknown[] => {
      const { state, step, steps, checkpoint } = live.status();
      return [state, step, steps, checkpoint?.step];
    };
    live.recalls({ step: 4, steps: 9, checkpoint: { step: 3, path: 'global_step_3' } });
    assert.deepEqual(place(), ['starting', 4, 9, 3]);
    live.begins(3, 8, { step: 3, path: 'global_step_3' });
    assert.deepEqual(place(), ['running', 3, 8, 3]);
    live.begins(0, 8);
    assert.deepEqual(place(), ['running', 0, 8, undefined]);
  });
});
