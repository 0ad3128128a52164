import assert from 'node:assert/strict';
import { DeviceCopy, deviceCopyBytes, forgetDeviceCopy } from '../../../actors/device-copy.ts';
import type { Device } from '../../../src/device/device.ts';
import { downloadFloats } from '../../../src/device/float-transfer.ts';
import { openDevice } from '../../../src/device/open.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import { DeviceArena, type AnyArena } from '../../../src/model/weights/device-arena.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { visionLength } from '../../../src/model/parameters.ts';
import { Policy } from '../../../src/model/policy.ts';
import type { AdamWState } from '../../../src/optim/adamw.ts';
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
import {
  SteppedLearner,
  steppedLength,
  steppedWeights,
  trainingKinds,
  type TrainingKind,
} from '../../support/stepped-learner.ts';

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
    host = openDevice({ threads: 1 });
    far = new FarDevice();
    second = new FarDevice();
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
        /**
         * The weights after two steps, as a checkpoint would have them.
         *
         * @param isOffloaded keep weights and state in this process's memory, and bring them to the device piece by piece
         */
        const trained = async (device: Device, isOffloaded = false): Promise<Float32Array> => {
          const { config, arena } = await loadGoldenModel('micro-vl');
          const options = { ...usual, ...own, offloadsState: isOffloaded };
          if (options.storage === 'bf16') roundTo('bf16', arena.data);
          const start = isFrozen ? visionLength(config) : 0;
          const working = await placed(device, arena, dtype, isOffloaded);
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
            assert.ok(Number.isFinite(await optimization.step(1e-2)));
          }
          await optimization.collectWeights();
          return arena.data;
        };
        const [here, there] = [await trained(host), await trained(far)];
        const { arena: before } = await loadGoldenModel('micro-vl');
        assert.notDeepEqual(there, before.data);
        assert.deepEqual(there, here);
        if (isFrozen) assert.deepEqual(await trained(far, true), here);
      });
    }
  }

  /** Learners on devices of their own after two steps, and after a third from what they saved then. */
  async function steppedBy(
    devices: readonly Device[],
    kind: TrainingKind,
  ): Promise<{ weights: Float32Array; computed: Float32Array[]; state: AdamWState }> {
    const arena = steppedWeights(kind, devices.length);
    const handle = threadGroup(devices.length);
    await using owned = new AsyncDisposableStack();
    const learners = await Promise.all(
      devices.map(async (device, rank) => {
        const group = owned.use(joinThreadGroup(handle, rank));
        const joined = { group, exchange: byHost(device, group) };
        return owned.use(await SteppedLearner.open(device, arena, kind, joined));
      }),
    );
    const all = <T>(work: (learner: SteppedLearner, rank: number) => Promise<T>): Promise<T[]> =>
      Promise.all(learners.map(work));
    for (const number of [0, 1]) await all((learner) => learner.step(number));
    await all(({ optimization }) => optimization.collectWeights());
    const [state] = await all(({ optimization }) => optimization.gatherState());
    await all(({ optimization }, rank) => optimization.scatterState(rank === 0 ? state! : null));
    await all((learner) => learner.step(2));
    await all(({ optimization }) => optimization.collectWeights());
    return {
      weights: arena.data.slice(0, steppedLength),
      computed: await all((learner) => learner.computed()),
      state: state!,
    };
  }

  for (const kind of Object.keys(trainingKinds) as TrainingKind[]) {
    it(`are stepped by two learners on devices of their own as by one, ${kind}`, async () => {
      const one = await steppedBy([far], kind);
      const two = await steppedBy([far, second], kind);
      assert.deepEqual(two.weights, one.weights);
      assert.deepEqual(two.state, one.state);
      for (const numbers of two.computed) assert.deepEqual(numbers, one.computed[0]);
      const [dtype] = trainingKinds[kind];
      assert.deepEqual(
        one.computed[0],
        one.weights.map((value) => nearestIn(dtype, value)),
      );
      assert.notDeepEqual(one.weights, steppedWeights(kind, 1).data.slice(0, steppedLength));
    });
  }

  /** Weights as a model computes with them on a device. */
  async function placed(
    device: Device,
    arena: Arena,
    dtype: FloatDType,
    isOffloaded = false,
  ): Promise<AnyArena> {
    if (device.host === null && !isOffloaded) {
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
