import assert from 'node:assert/strict';
import fc from 'fast-check';
import { advantageEstimators, passAtKAdvantage } from '../../../src/algorithms/advantage.ts';
import {
  groupPolicyGradientAdvantage,
  leaveOneOutAdvantage,
  optimalBaselineAdvantage,
} from '../../../src/algorithms/baselines.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { assertClose } from '../../support/assert-close.ts';

/** Scores of a few groups, each of at least two responses, rows of all groups shuffled. */
const groups = fc
  .array(
    fc.record({
      score: fc.integer({ min: -400, max: 400 }).map((value) => value / 100),
      group: fc.constantFrom('a', 'b', 'c'),
    }),
    { minLength: 2, maxLength: 12 },
  )
  .map((rows) => {
    const counts = Map.groupBy(rows, ({ group }) => group);
    return rows.filter(({ group }) => counts.get(group)!.length > 1);
  });

const scoresOf = (rows: readonly { score: number }[]): Float32Array =>
  Float32Array.from(rows, ({ score }) => score);
const idsOf = (rows: readonly { group: string }[]): string[] => rows.map(({ group }) => group);

function sumsByGroup(values: Float32Array, ids: readonly string[]): number[] {
  const sums = new Map<string, number>();
  for (const [i, id] of ids.entries()) sums.set(id, (sums.get(id) ?? 0) + values[i]!);
  return [...sums.values()];
}

describe('leaveOneOutAdvantage', () => {
  it('sums to zero in each group, does not see a shift, and scales as the scores do', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: -8, max: 8 }), (rows, shift) => {
        const [scores, ids] = [scoresOf(rows), idsOf(rows)];
        const advantages = leaveOneOutAdvantage(scores, ids);
        for (const sum of sumsByGroup(advantages, ids)) assert.ok(Math.abs(sum) < 1e-4);
        const shifted = leaveOneOutAdvantage(
          scores.map((score) => score + shift),
          ids,
        );
        assertClose(shifted, advantages, { atol: 1e-5 });
        const scaled = leaveOneOutAdvantage(
          scores.map((score) => 4 * score),
          ids,
        );
        assertClose(
          scaled,
          advantages.map((value) => 4 * value),
          { atol: 1e-5 },
        );
      }),
    );
  });
});

describe('optimalBaselineAdvantage', () => {
  it('sums to zero over the tokens of each group, and is that of the mean where lengths are equal', () => {
    fc.assert(
      fc.property(groups, (rows) => {
        const [scores, ids] = [scoresOf(rows), idsOf(rows)];
        const lengths = rows.map((_, i) => 1 + ((7 * i) % 5));
        const advantages = optimalBaselineAdvantage(scores, ids, lengths);
        const ofTokens = advantages.map((advantage, i) => advantage * lengths[i]!);
        for (const sum of sumsByGroup(ofTokens, ids)) assert.ok(Math.abs(sum) < 1e-4);
        const equal = optimalBaselineAdvantage(scores, ids, lengths.fill(3));
        for (const sum of sumsByGroup(equal, ids)) assert.ok(Math.abs(sum) < 1e-4);
      }),
    );
  });
});

describe('groupPolicyGradientAdvantage', () => {
  it('makes up for scores of 0, and gives exact zeros to a group whose scores are all equal', () => {
    const scores = Float32Array.of(0.7, 0.7, 0.7, 0, 0, 1);
    const advantages = groupPolicyGradientAdvantage(scores, ['a', 'a', 'a', 'b', 'b', 'b']);
    assertClose(advantages, [0, 0, 0, -0.5, -0.5, 1], { atol: 1e-7 });
    assert.deepEqual([...advantages.subarray(0, 3)], [0, 0, 0]);
  });
});

describe('passAtKAdvantage', () => {
  it('is positive for one response of a group at most, zero for the others, and does not see a shift', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: -8, max: 8 }), (rows, shift) => {
        const [scores, ids] = [scoresOf(rows), idsOf(rows)];
        const advantages = passAtKAdvantage(scores, ids);
        assert.ok(advantages.every((value) => value >= 0));
        const winners = ids.filter((_, i) => advantages[i]! > 0);
        assert.equal(new Set(winners).size, winners.length);
        const shifted = passAtKAdvantage(
          scores.map((score) => score + shift),
          ids,
        );
        assertClose(shifted, advantages, { rtol: 1e-3, atol: 1e-4 });
      }),
    );
  });
});

describe('estimators from token rewards', () => {
  const batch = fc
    .array(
      fc.array(
        fc.record({
          reward: fc.integer({ min: -100, max: 100 }).map((value) => value / 100),
          value: fc.integer({ min: -100, max: 100 }).map((value) => value / 100),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      { minLength: 2, maxLength: 5 },
    )
    .map((rows) => ({
      ...tokenRows(rows.map(({ length }) => length)),
      rewards: Float32Array.from(rows.flat(), ({ reward }) => reward),
      values: Float32Array.from(rows.flat(), ({ value }) => value),
      groupIds: rows.map(() => 'a'),
    }));

  it('gae and reinforce_plus_plus have mean zero and deviation one over the tokens', () => {
    fc.assert(
      fc.property(batch, (input) => {
        for (const name of ['gae', 'reinforce_plus_plus'] as const) {
          const { advantages } = advantageEstimators[name].estimate({
            ...input,
            gamma: 0.9,
            lambda: 0.8,
          });
          const mean = advantages.reduce((sum, value) => sum + value, 0) / advantages.length;
          assert.ok(Math.abs(mean) < 1e-4, `${name}: mean ${mean}`);
          const squares = advantages.reduce((sum, value) => sum + value ** 2, 0);
          const variance = squares / (advantages.length - 1);
          // Where all tokens are alike there is nothing to divide by.
          assert.ok(variance < 1e-3 || Math.abs(variance - 1) < 1e-3, `${name}: ${variance}`);
        }
      }),
    );
  });

  it('gae returns the reward to go where lambda is 1, whatever the critic says', () => {
    fc.assert(
      fc.property(batch, (input) => {
        const options = { ...input, gamma: 0.9, lambda: 1 };
        const { returns } = advantageEstimators.gae.estimate(options);
        assertClose(returns, advantageEstimators.reinforce_plus_plus.estimate(options).returns, {
          atol: 1e-5,
        });
      }),
    );
  });

  it('gae over padded columns, as CX-Mind has it, agrees with gae that looks past them', () => {
    fc.assert(
      fc.property(batch, (input) => {
        const [gamma, lambda] = [0.95, 0.9];
        const { returns } = advantageEstimators.gae.estimate({ ...input, gamma, lambda });
        for (let row = 0; row + 1 < input.offsets.length; row++) {
          const [start, end] = [input.offsets[row]!, input.offsets[row + 1]!];
          // Three columns of padding, where rewards and values are 0.
          let [carried, next] = [0, 0];
          for (let t = end + 2; t >= start; t--) {
            const [reward, value] = t < end ? [input.rewards[t]!, input.values[t]!] : [0, 0];
            carried = reward + gamma * next - value + gamma * lambda * carried;
            next = value;
            if (t < end) assertClose([returns[t]!], [carried + value], { atol: 1e-5 });
          }
        }
      }),
    );
  });

  it('remax does not see what scores and baselines have in common', () => {
    fc.assert(
      fc.property(batch, fc.integer({ min: -3, max: 3 }), (input, shift) => {
        const baselines = Float32Array.from(input.groupIds, (_, i) => i / 4);
        const options = { ...input, gamma: 1, lambda: 1 };
        const { advantages } = advantageEstimators.remax.estimate({ ...options, baselines });
        const rewards = input.rewards.slice();
        for (const start of input.offsets.subarray(0, -1)) rewards[start]! += shift;
        const shifted = advantageEstimators.remax.estimate({
          ...options,
          rewards,
          baselines: baselines.map((value) => value + shift),
        });
        assertClose(shifted.advantages, advantages, { atol: 1e-5 });
      }),
    );
  });
});
