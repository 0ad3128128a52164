import assert from 'node:assert/strict';
import { Arena } from '../../../src/model/weights/arena.ts';
import { contentLength, dividedInto, layOut } from '../../../src/model/weights/arena-layout.ts';
import type { AdamWState, StateTensor } from '../../../src/optim/adamw.ts';
import type { Device } from '../../../src/device/device.ts';
import { nearestIn, type FloatDType } from '../../../src/tensor/dtype.ts';
import { floatsOf } from '../../../src/tensor/numbers.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { openDevice } from '../../../src/device/open.ts';
import { keyOf, Rng } from '../../../src/rng.ts';
import { alone } from '../../../src/training/learner-group.ts';
import { Optimization, type OptimizationOptions } from '../../../src/training/optimization.ts';
import type { Communicator } from '../../../transport/collectives/communicator.ts';
import { joinThreadGroup, threadGroup } from '../../../transport/collectives/threads.ts';
import { hostNumbers } from '../../support/host-numbers.ts';
import { residentBytes } from '../../support/resident-memory.ts';

const options: OptimizationOptions = { betas: [0.9, 0.999], weightDecay: 0.01, maxGradNorm: 1 };
const layout = layOut([
  [{ name: 'a', shape: [37, 3] }],
  [
    { name: 'b', shape: [70] },
    { name: 'c', shape: [70, 5] },
  ],
]);
const content = contentLength(layout);

/** Numbers whose sums and squares float32 and float64 hold exactly, in any order. */
function draw(purpose: string, count: number): number[] {
  const rng = new Rng(keyOf('optimization test', purpose));
  return Array.from({ length: count }, () => Math.round(rng.nextNormal() * 64) / 64);
}

/** Learners as they stand on threads of one process, or of several when each has weights of its own. */
class Team implements AsyncDisposable {
  readonly members: readonly Optimization[];
  readonly arenas: readonly Arena[];
  /** Weights that a model would compute with; the arenas themselves where that is f32. */
  readonly working: readonly Arena<FloatDType>[];
  readonly #groups: readonly Communicator[];

  constructor(
    device: Device,
    size: number,
    sharesWeights: boolean,
    own: Partial<OptimizationOptions> = {},
    computeDType: FloatDType = 'f32',
  ) {
    const divided = dividedInto(layout, size);
    const shared = new Arena(divided);
    const handle = threadGroup(size);
    this.#groups = Array.from({ length: size }, (_, rank) => joinThreadGroup(handle, rank));
    this.arenas = this.#groups.map(() => (sharesWeights ? shared : new Arena(divided)));
    const copy = (): Arena<FloatDType> => new Arena(divided, undefined, computeDType);
    const sharedCopy = copy();
    this.working =
      computeDType === 'f32'
        ? this.arenas
        : this.arenas.map(() => (sharesWeights ? sharedCopy : copy()));
    for (const arena of this.arenas) arena.data.set(draw('weights', content));
    this.members = this.#groups.map(
      (group, rank) =>
        new Optimization(
          device,
          this.arenas[rank]!,
          { ...options, ...own },
          { group, sharesWeights },
          this.working[rank],
        ),
    );
  }

  all<T>(work: (member: Optimization, rank: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.members.map(work));
  }

  /** One step with gradients whose sum is the same for teams of any size. */
  async step(step: number): Promise<number[]> {
    for (const { gradients } of this.members) hostNumbers(gradients).fill(0);
    // A learner in three adds a part of its own, and the first takes it off again.
    const whole = draw(`gradients ${step}`, content);
    hostNumbers(this.members[0]!.gradients).set(whole);
    for (const [rank, { gradients }] of this.members.entries()) {
      if (rank === 0) continue;
      for (const [i, value] of draw(`part ${rank}`, content).entries()) {
        hostNumbers(gradients)[i] = value;
        hostNumbers(this.members[0]!.gradients)[i]! -= value;
      }
    }
    const norms = await this.all((member) => member.step(0.01));
    assert.ok(norms.every(Number.isFinite));
    return norms;
  }

  async state(): Promise<AdamWState> {
    const [state, ...others] = await this.all((member) => member.gatherState());
    assert.ok(others.every((other) => other === null));
    return state!;
  }

  weights(rank = 0): Float32Array {
    return this.arenas[rank]!.data.slice(0, content);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.members) member[Symbol.dispose]();
    await Promise.all(this.#groups.map((group) => group[Symbol.asyncDispose]()));
  }
}

/** The same numbers in memory of their own. */
function copyOf(tensor: StateTensor): StateTensor {
  return { ...tensor, data: tensor.data.slice() };
}

describe('Optimization by several learners', () => {
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  for (const sharesWeights of [true, false]) {
    for (const size of [2, 3, 5]) {
      const where = sharesWeights ? 'shared weights' : 'weights of their own';
      it(`steps as one does, bit for bit: ${size} over ${where}`, async () => {
        await using one = new Team(device, 1, true);
        await using team = new Team(device, size, sharesWeights);
        for (let step = 0; step < 3; step++) {
          const [norm] = await one.step(step);
          assert.deepEqual(await team.step(step), Array<number>(size).fill(norm!));
        }
        for (let rank = 0; rank < size; rank++) {
          assert.deepEqual(team.weights(rank), one.weights());
        }
        const [state, expected] = [await team.state(), await one.state()];
        assert.deepEqual(state.m, expected.m);
        assert.deepEqual(state.v, expected.v);
        assert.equal(state.step, 3);
      });
    }
  }

  it('divides and gathers moments in bf16', async () => {
    const bf16 = { strategy: 'adamw_bf16', storage: 'bf16' } as const;
    await using one = new Team(device, 1, true, bf16);
    await using team = new Team(device, 3, false, bf16);
    for (let step = 0; step < 2; step++) {
      await one.step(step);
      await team.step(step);
    }
    const [state, expected] = [await team.state(), await one.state()];
    for (const name of ['m', 'v', 'c'] as const) {
      assert.ok(state[name]?.dtype === 'bf16');
      assert.ok(state[name].data.some((bits) => bits !== 0));
      assert.deepEqual(state[name], expected[name]);
    }
    assert.deepEqual(team.weights(2), one.weights());
    await using other = new Team(device, 2, true, bf16);
    other.arenas[0]!.data.set(one.weights());
    const saved = { ...expected, m: copyOf(expected.m), v: copyOf(expected.v) };
    await other.all((member, rank) => member.scatterState(rank === 0 ? saved : null));
    await other.step(2);
    await one.step(2);
    assert.deepEqual(other.weights(), one.weights());
    await assert.rejects(
      one.members[0]!.scatterState({ m: saved.m, v: saved.v, step: 1 }),
      /c of 0 elements .* optim\.strategy/,
    );
  });

  for (const strategy of ['adamw', 'adamw_bf16'] as const) {
    it(`keeps what models compute with as the weights are, by ${strategy}`, async () => {
      for (const [size, sharesWeights] of [
        [1, true],
        [3, true],
        [3, false],
      ] as const) {
        await using one = new Team(device, 1, true, { strategy });
        await using team = new Team(device, size, sharesWeights, { strategy }, 'bf16');
        const isCurrent = (): boolean =>
          team.working.every(({ flat }, rank) => {
            const { data } = team.arenas[rank]!;
            return floatsOf(flat).every((value, i) => value === nearestIn('bf16', data[i]!));
          });
        await team.all((member) => member.takeWeights());
        assert.ok(isCurrent());
        for (let step = 0; step < 2; step++) {
          await one.step(step);
          await team.step(step);
          assert.ok(isCurrent());
        }
        assert.deepEqual(team.weights(size - 1), one.weights());
        const saved = await team.state();
        team.arenas[0]!.data.fill(1.001, 0, content);
        assert.ok(!isCurrent());
        await team.all((member, rank) => member.scatterState(rank === 0 ? saved : null));
        assert.ok(isCurrent());
      }
    });
  }

  it('rounds what learners sum, and the sum, to what it is asked to', async () => {
    const options = { reduction: 'bf16', maxGradNorm: 1e9 } as const;
    await using team = new Team(device, 2, true, options);
    for (const { gradients } of team.members) hostNumbers(gradients).fill(0);
    // 1 + 2^-9 is 1 in bf16, and 1 + 2^-8 is halfway to the next number, so that it is 1 again.
    for (const [rank, value] of [1 + 2 ** -9, 2 ** -8].entries()) {
      hostNumbers(team.members[rank]!.gradients)[0] = value;
    }
    assert.deepEqual(await team.all((member) => member.step(0.01)), [1, 1]);
  });

  for (const strategy of ['adamw', 'adamw_bf16'] as const) {
    it(`keeps its state in a file, bit for bit: ${strategy}`, async () => {
      await using one = new Team(device, 1, true, { strategy });
      for (const [size, sharesWeights] of [
        [1, true],
        [2, true],
        [3, false],
      ] as const) {
        const offloaded = { strategy, offloadsState: true };
        await using first = new Team(device, size, sharesWeights, offloaded);
        await using second = new Team(device, size, sharesWeights, offloaded);
        for (let step = 0; step < 2; step++) await first.step(step);
        const saved = await first.state();
        for (const { data } of [saved.m, saved.v]) assert.equal(residentBytes(data.buffer), 0);
        second.arenas[0]!.data.set(first.weights());
        await second.all((member, rank) => member.scatterState(rank === 0 ? saved : null));
        await second.step(2);
        if (size === 1) for (let step = 0; step < 3; step++) await one.step(step);
        for (let rank = 0; rank < size; rank++) {
          assert.deepEqual(second.weights(rank), one.weights());
        }
        const [state, expected] = [await second.state(), await one.state()];
        assert.deepEqual(Object.keys(state), Object.keys(expected));
        for (const name of ['m', 'v', 'c'] as const) {
          assert.deepEqual(state[name]?.data, expected[name]?.data);
        }
      }
    });
  }

  it('goes on from the state of another number of learners', async () => {
    await using one = new Team(device, 1, true);
    for (let step = 0; step < 2; step++) await one.step(step);
    const [state, weights] = [await one.state(), one.weights()];
    const saved = { m: copyOf(state.m), v: copyOf(state.v), step: state.step };
    await one.step(2);
    for (const [size, sharesWeights] of [
      [2, true],
      [3, false],
    ] as const) {
      await using team = new Team(device, size, sharesWeights);
      team.arenas[0]!.data.set(weights);
      await team.all((member, rank) => member.scatterState(rank === 0 ? saved : null));
      await team.step(2);
      for (let rank = 0; rank < size; rank++) assert.deepEqual(team.weights(rank), one.weights());
    }
  });

  it('skips a step everywhere when the gradient of one is not finite', async () => {
    await using team = new Team(device, 3, true);
    for (const bad of [NaN, Infinity]) {
      for (const member of team.members) member.clearGradients();
      hostNumbers(team.members[2]!.gradients)[5] = bad;
      const norms = await team.all((member) => member.step(0.01));
      assert.deepEqual(norms.map(Number.isFinite), [false, false, false]);
    }
    assert.deepEqual(team.weights(), Float32Array.from(draw('weights', content)));
  });

  it('refuses an arena that does not divide, and moments of another model', async () => {
    const group = { ...alone, size: 3 };
    assert.throws(
      () => new Optimization(device, new Arena(layout), options, { group, sharesWeights: true }),
      { code: 'SHAPE_MISMATCH' },
    );
    await using one = new Team(device, 1, true);
    const [m, v] = [zeros('f32', [8]), zeros('f32', [8])];
    await assert.rejects(one.members[0]!.scatterState({ m, v, step: 1 }), {
      code: 'CHECKPOINT_INVALID',
    });
  });
});
