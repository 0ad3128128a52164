import assert from 'node:assert/strict';
import { DeviceCopy, deviceCopyBytes, forgetDeviceCopy } from '../../../actors/device-copy.ts';
import type { Device } from '../../../src/device/device.ts';
import { downloadFloats } from '../../../src/device/float-transfer.ts';
import { openDevice } from '../../../src/device/open.ts';
import { Arena } from '../../../src/model/arena.ts';
import { contentLength, dividedInto, layOut } from '../../../src/model/arena-layout.ts';
import { DeviceArena, type AnyArena } from '../../../src/model/device-arena.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { visionLength } from '../../../src/model/parameters.ts';
import { Policy } from '../../../src/model/policy.ts';
import type { AdamWState } from '../../../src/optim/adamw.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { nearestIn, type FloatDType } from '../../../src/tensor/dtype.ts';
import { writeFloats } from '../../../src/tensor/numbers.ts';
import { roundTo } from '../../../src/tensor/half.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import type { DeviceExchange } from '../../../src/training/exchange.ts';
import { alone, type LearnerGroup } from '../../../src/training/learner-group.ts';
import { Optimization, type OptimizationOptions } from '../../../src/training/optimization.ts';
import { joinThreadGroup, threadGroup } from '../../../transport/collectives/threads.ts';
import { conformsToDevice } from '../../conformance/device.ts';
import { FarDevice } from '../../support/far-device.ts';
import { goldenSequences, loadGoldenModel } from '../../support/golden-model.ts';

/** A way between devices by the memory of their process. */
function byHost(device: Device, group: LearnerGroup): DeviceExchange {
  return {
    async reduceScatter(input, output) {
      const sum = zeros('f32', output.shape);
      await group.reduceScatter(await device.download(input), sum);
      device.upload(sum, output);
    },
    async allGather(input, output) {
      const all = zeros(output.dtype, output.shape);
      await group.allGather(await device.download(input), all);
      device.upload(all, output);
    },
  };
}

conformsToDevice('a device with memory of its own', () => new FarDevice());

describe('weights in a device’s own memory', () => {
  let host: Device;
  let far: Device;
  let second: Device;
  before(() => {
    host = openDevice({ threads: 2 });
    far = new FarDevice(2);
    second = new FarDevice(2);
  });
  after(() => {
    host[Symbol.dispose]();
    far[Symbol.dispose]();
    second[Symbol.dispose]();
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

  const layout = layOut([[{ name: 'a', shape: [37, 3] }], [{ name: 'b', shape: [70, 5] }]]);
  const content = contentLength(layout);
  /** Numbers whose sums and squares float32 and float64 hold exactly, in any order. */
  const draw = (purpose: string): Float32Array => {
    const rng = new Rng(keyOf('device weights', purpose));
    return Float32Array.from({ length: content }, () => Math.round(rng.nextNormal() * 64) / 64);
  };

  /** Learners on devices of their own after two steps, and once more from what they saved then. */
  async function steppedBy(
    devices: readonly Device[],
    [dtype, own]: [FloatDType, Partial<OptimizationOptions>],
  ): Promise<{ weights: Float32Array; computed: Float32Array[]; state: AdamWState }> {
    const arena = new Arena(dividedInto(layout, devices.length));
    arena.data.set(draw('weights'));
    if (own.storage === 'bf16') roundTo('bf16', arena.data);
    const handle = threadGroup(devices.length);
    await using owned = new AsyncDisposableStack();
    const workings: AnyArena[] = [];
    const members = await Promise.all(
      devices.map(async (device, rank) => {
        const group = owned.use(joinThreadGroup(handle, rank));
        workings[rank] = await placed(device, arena, dtype);
        const sharing = { group, sharesWeights: true, exchange: byHost(device, group) };
        const options = { ...usual, ...own };
        return owned.use(new Optimization(device, arena, options, sharing, workings[rank]));
      }),
    );
    const step = async (number: number): Promise<void> => {
      // The first learner takes off what the others add to the sum.
      const sum = draw(`gradients ${number}`);
      for (const [rank, { gradients }] of members.entries()) {
        if (rank === 0) continue;
        const part = draw(`part ${rank}`);
        part.forEach((value, i) => (sum[i]! -= value));
        put(devices[rank]!, part, gradients);
      }
      put(devices[0]!, sum, members[0]!.gradients);
      const done = await Promise.all(members.map((member) => member.step(0.01)));
      assert.ok(done.every(({ applied }) => applied));
    };
    await step(0);
    await step(1);
    await Promise.all(members.map((member) => member.collectWeights()));
    const [state] = await Promise.all(members.map((member) => member.gatherState()));
    // Whoever goes on from there takes the weights and the state from the host.
    await Promise.all(members.map((member, i) => member.scatterState(i === 0 ? state! : null)));
    await step(2);
    await Promise.all(members.map((member) => member.collectWeights()));
    const computed = devices.map(async (device, rank) => {
      const numbers = new Arena(arena.layout);
      await downloadFloats(device, DeviceArena.of(device, workings[rank]!).flat, numbers.flat);
      return numbers.data.slice(0, content);
    });
    return {
      weights: arena.data.slice(0, content),
      computed: await Promise.all(computed),
      state: state!,
    };
  }

  function put(device: Device, numbers: Float32Array, into: DeviceArena<'f32'>): void {
    const data = new Float32Array(new SharedArrayBuffer(4 * numbers.length));
    data.set(numbers);
    device.operations.zero(into.flat);
    const tensor = { dtype: 'f32', shape: [content], data } as const;
    device.upload(tensor, device.part(into.flat, 0, [content]));
  }

  for (const [kind, spec] of Object.entries(kinds)) {
    it(`are stepped by two learners on devices of their own as by one, ${kind}`, async () => {
      const exact: typeof spec = [spec[0], { ...spec[1], reduction: 'f32' }];
      const one = await steppedBy([far], exact);
      const two = await steppedBy([far, second], exact);
      assert.deepEqual(two.weights, one.weights);
      assert.deepEqual(two.state, one.state);
      for (const numbers of two.computed) assert.deepEqual(numbers, one.computed[0]);
      const rounded = one.weights.map((value) => nearestIn(spec[0], value));
      assert.deepEqual(one.computed[0], rounded);
      assert.notDeepEqual(one.weights, draw('weights'));
    });
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
