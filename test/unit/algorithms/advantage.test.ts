import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  advantageEstimators,
  groupRelativeAdvantage,
  passAtKAdvantage,
  type AdvantageEstimate,
  type AdvantageEstimatorName,
  type AdvantageInput,
} from '../../../src/algorithms/advantage.ts';
import { leaveOneOutAdvantage } from '../../../src/algorithms/baselines.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { assertClose } from '../../support/assert-close.ts';
import {
  groupIds,
  mask,
  packed,
  packedRow,
  padded,
  rectangle,
  rewards,
  unpadded,
} from './reference-case.ts';

const criticValues = rectangle(
  [0.1, 0.2, 0.3],
  [0, 0.1, 0.2, 0.3, 0.4],
  [0.5, 0.4],
  [0.2, 0.2, 0.2, 0.2],
);
const baselines = Float32Array.of(0.2, 0.3, 0.4, 0.5);

function estimate(name: AdvantageEstimatorName, gamma = 1, lambda = 1): AdvantageEstimate {
  const input: AdvantageInput = {
    ...packed,
    rewards: unpadded(rewards),
    values: unpadded(criticValues),
    groupIds,
    baselines,
    gamma,
    lambda,
  };
  const inPack = advantageEstimators[name].estimate(input);
  const inPadding = advantageEstimators[name].estimate({
    ...input,
    ...padded,
    rewards,
    values: criticValues,
  });
  assert.deepEqual(unpadded(inPadding.advantages), inPack.advantages, 'padding and packing agree');
  assert.deepEqual(unpadded(inPadding.returns), inPack.returns, 'padding and packing agree');
  return inPack;
}

function assertRows(values: Float32Array, expected: readonly (readonly number[])[]): void {
  for (const [i, row] of expected.entries()) {
    assertClose(packedRow(values, i), row, { rtol: 1.2e-7, atol: 1.2e-7 }, `row ${i}`);
  }
}

/** One expected number a row, at each of its tokens. */
function spread(perRow: readonly number[]): number[][] {
  const lengths = [3, 5, 2, 4];
  return perRow.map((value, i) => new Array<number>(lengths[i]!).fill(value));
}

describe('advantageEstimators', () => {
  const perResponse: readonly [AdvantageEstimatorName, number[]][] = [
    ['grpo', [0.70710564, -0.7071057, -0.70710427, 0.70710427]],
    ['grpo_passk', [1.41421127, 0, 0, 1.41420853]],
    ['rloo', [0.9, -0.9, -0.4, 0.4]],
    ['remax', [0.8, -0.2, 0.1, 0.4]],
  ];
  for (const [name, expected] of perResponse) {
    it(`${name} gives the check values`, () => {
      assertRows(estimate(name).advantages, spread(expected));
    });
  }

  it('remax returns the reward to go', () => {
    assertRows(estimate('remax').returns, spread([1, 0.1, 0.5, 0.9]));
  });

  it('reinforce_plus_plus gives the check values', () => {
    const { advantages, returns } = estimate('reinforce_plus_plus', 0.9);
    assertRows(returns, [
      [0.81, 0.9, 1],
      [0.06561, 0.0729, 0.081, 0.09, 0.1],
    ]);
    assertRows(advantages, [
      [0.82128114, 1.06911778, 1.34449184],
      [-1.22857475, -1.20850003, -1.18619466, -1.16141105, -1.1338737],
      [-0.1700649, -0.03237789],
      [0.39748058, 0.59822816, 0.82128114, 1.06911778],
    ]);
  });

  it('reinforce_plus_plus whitens masked tokens along, as in the reference', () => {
    const { advantages } = advantageEstimators.reinforce_plus_plus.estimate({
      ...padded,
      rewards,
      groupIds,
      gamma: 0.9,
      lambda: 1,
    });
    assertClose(advantages.subarray(3, 5), [-1.40924752, -1.40924752], { atol: 1.2e-7 });
  });

  it('gae gives the check values', () => {
    const { advantages, returns } = estimate('gae', 0.95, 0.9);
    assertRows(returns, [
      [0.77439249, 0.8835, 1],
      [0.12376995, 0.13364907, 0.13409248, 0.1235, 0.1],
      [0.4655, 0.5],
      [0.61165822, 0.69316751, 0.7885, 0.9],
    ]);
    assertRows(advantages, [
      [1.08513939, 1.11025143, 1.15574646],
      [-0.43307969, -0.68156797, -0.95607305, -1.26100731, -1.60153115],
    ]);
  });

  it('gae looks through masked tokens inside a row', () => {
    const common = { groupIds: ['a'], gamma: 0.9, lambda: 0.8 };
    const whole = advantageEstimators.gae.estimate({
      ...tokenRows([3]),
      rewards: Float32Array.of(0, 0.5, 1),
      values: Float32Array.of(0.3, 0.2, 0.1),
      ...common,
    });
    const interrupted = advantageEstimators.gae.estimate({
      ...tokenRows([5], Uint8Array.of(1, 1, 0, 0, 1)),
      rewards: Float32Array.of(0, 0.5, 7, 7, 1),
      values: Float32Array.of(0.3, 0.2, 9, 9, 0.1),
      ...common,
    });
    for (const part of ['advantages', 'returns'] as const) {
      assert.deepEqual(
        interrupted[part].filter((_, t) => t !== 2 && t !== 3),
        whole[part],
      );
    }
  });

  it('name the input that is missing', () => {
    const input = { ...packed, rewards: unpadded(rewards), groupIds, gamma: 1, lambda: 1 };
    assert.throws(() => advantageEstimators.gae.estimate(input), /gae: values/);
    assert.throws(() => advantageEstimators.remax.estimate(input), /remax: baselines/);
  });

  it('find groups by id, wherever their rows are', () => {
    const order = [2, 0, 3, 1];
    const shuffled = order.map((i) => groupIds[i]!);
    const scores = Float32Array.of(1, 0.1, 0.5, 0.9);
    const shuffledScores = Float32Array.from(order, (i) => scores[i]!);
    for (const rule of [groupRelativeAdvantage, passAtKAdvantage, leaveOneOutAdvantage]) {
      const straight = rule(scores, groupIds);
      const found = rule(shuffledScores, shuffled);
      assertClose(
        found,
        order.map((i) => straight[i]!),
        { rtol: 1.2e-7 },
      );
    }
  });

  it('leave masked tokens at 0 for one advantage a response', () => {
    const { advantages } = advantageEstimators.grpo.estimate({
      ...padded,
      rewards,
      groupIds,
      gamma: 1,
      lambda: 1,
    });
    assert.ok(advantages.every((advantage, t) => mask[t] === 1 || advantage === 0));
  });
});

describe('groupRelativeAdvantage', () => {
  const groups = fc.array(
    fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 2, maxLength: 8 }),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  const flat = (scores: readonly number[][]): { scores: Float32Array; ids: string[] } => ({
    scores: Float32Array.from(scores.flat(), (score) => score / 16),
    ids: scores.flatMap((group, i) => group.map(() => `prompt-${i}`)),
  });

  it('gives exact zeros to a group whose scores are all equal', () => {
    for (const score of [0.7, 0.1, 0.9, 1]) {
      const scores = new Float32Array(10).fill(score);
      const ids = new Array<string>(10).fill('a');
      assert.deepEqual(groupRelativeAdvantage(scores, ids), new Float32Array(10));
    }
  });

  it('has mean zero within each group', () => {
    fc.assert(
      fc.property(groups, (drawn) => {
        const { scores, ids } = flat(drawn);
        const totals = new Map<string, number>();
        for (const [i, advantage] of groupRelativeAdvantage(scores, ids).entries()) {
          totals.set(ids[i]!, (totals.get(ids[i]!) ?? 0) + advantage);
        }
        assertClose(
          [...totals.values()],
          drawn.map(() => 0),
          { atol: 2e-5 },
        );
      }),
    );
  });

  it('does not see a shift of all scores, and hardly a scale', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: -8, max: 8 }), (drawn, shift) => {
        const { scores, ids } = flat(drawn);
        const plain = groupRelativeAdvantage(scores, ids);
        const shifted = groupRelativeAdvantage(
          scores.map((score) => score + shift),
          ids,
        );
        assertClose(shifted, plain, { rtol: 1e-4, atol: 1e-4 });
        const scaled = groupRelativeAdvantage(
          scores.map((score) => score * 4),
          ids,
        );
        assertClose(scaled, plain, { rtol: 1e-4, atol: 1e-4 });
      }),
    );
  });

  it('refuses a group of one response, and scores without ids', () => {
    const scores = Float32Array.of(1, 2, 3);
    assert.throws(
      () => groupRelativeAdvantage(scores, ['a', 'a', 'b']),
      /group b has one response/,
    );
    assert.throws(() => groupRelativeAdvantage(scores, ['a', 'a']), { code: 'SHAPE_MISMATCH' });
  });
});
