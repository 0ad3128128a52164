import assert from 'node:assert/strict';
import fc from 'fast-check';
import { rowsToKeep } from '../../../src/algorithms/filter.ts';
import {
  balancedSets,
  balanceMetrics,
  dynamicBatchCount,
  dynamicBatches,
} from '../../../src/algorithms/sequence-balance.ts';

const lengths = [5, 3, 8, 1, 9, 2, 7, 4];

describe('balancedSets', () => {
  it('gives the check values', () => {
    assert.deepEqual(balancedSets(lengths, 3), [
      [2, 5, 7],
      [1, 3, 4],
      [0, 6],
    ]);
    const two = [
      [0, 4, 5, 7],
      [1, 2, 3, 6],
    ];
    assert.deepEqual(balanceMetrics(lengths, two), {
      'global_seqlen/min': 17,
      'global_seqlen/max': 22,
      'global_seqlen/minmax_diff': 5,
      'global_seqlen/balanced_min': 19,
      'global_seqlen/balanced_max': 20,
      'global_seqlen/mean': 19.5,
    });
  });

  it('places every row once, in sets none of which is empty', () => {
    const drawn = fc.tuple(
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 6, maxLength: 40 }),
      fc.integer({ min: 1, max: 6 }),
    );
    fc.assert(
      fc.property(drawn, ([rows, setCount]) => {
        const sets = balancedSets(rows, setCount);
        assert.deepEqual(
          sets.flat().sort((a, b) => a - b),
          [...rows.keys()],
        );
        assert.ok(sets.every((set) => set.length > 0));
      }),
    );
  });

  it('refuses fewer rows than sets', () => {
    assert.throws(() => balancedSets([1], 2), { code: 'SHAPE_MISMATCH' });
  });
});

describe('dynamicBatches', () => {
  const cases: readonly [number[], number, number[][]][] = [
    [
      lengths,
      16,
      [
        [1, 3, 4],
        [2, 5, 7],
        [0, 6],
      ],
    ],
    [[10, 10, 10, 10], 10, [[3], [2], [1], [0]]],
    [[100, 90, 20, 30, 60, 10], 128, [[0], [1, 2], [3, 4, 5]]],
  ];
  for (const [rows, budget, expected] of cases) {
    it(`gives the check value of [${rows.join(', ')}], budget ${budget}`, () => {
      assert.deepEqual(dynamicBatches(rows, dynamicBatchCount(rows, budget)), expected);
    });
  }

  it('never asks for more sets than rows', () => {
    assert.equal(dynamicBatchCount([50, 60], 8), 2);
  });
});

describe('rowsToKeep', () => {
  const bounds = { low: 0.01, high: 0.99 };

  it('keeps whole groups whose mean lies strictly between the bounds, in row order', () => {
    const ids = ['a', 'b', 'a', 'c', 'b', 'c'];
    assert.deepEqual(rowsToKeep([1, 0, 1, 0, 1, 0], ids, bounds), [1, 4]);
  });

  it('drops a group at a bound', () => {
    assert.deepEqual(rowsToKeep([0.5, 0.5], ['a', 'b'], { low: 0.5, high: 1 }), []);
    assert.deepEqual(rowsToKeep([0.5, 0.5], ['a', 'b'], { low: 0, high: 0.5 }), []);
  });
});
