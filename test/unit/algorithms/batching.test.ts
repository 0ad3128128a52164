import assert from 'node:assert/strict';
import fc from 'fast-check';
import { rowsToKeep } from '../../../src/algorithms/filter.ts';
import {
  balancedSets,
  balanceMetrics,
  dynamicBatchCount,
  dynamicBatches,
} from '../../../src/algorithms/sequence-balance.ts';

const equal = { equalSize: true };
const lengths = [5, 3, 8, 1, 9, 2, 7, 4];

describe('balancedSets', () => {
  it('gives the check values', () => {
    const two = balancedSets(lengths, 2, equal);
    assert.deepEqual(two, [
      [0, 4, 5, 7],
      [1, 2, 3, 6],
    ]);
    assert.deepEqual(balanceMetrics(lengths, two), {
      'global_seqlen/min': 17,
      'global_seqlen/max': 22,
      'global_seqlen/minmax_diff': 5,
      'global_seqlen/balanced_min': 19,
      'global_seqlen/balanced_max': 20,
      'global_seqlen/mean': 19.5,
    });
    assert.deepEqual(balancedSets(lengths, 4, equal), [
      [1, 6],
      [3, 4],
      [2, 5],
      [0, 7],
    ]);
    assert.deepEqual(balancedSets(lengths, 3, { equalSize: false }), [
      [2, 5, 7],
      [1, 3, 4],
      [0, 6],
    ]);
    assert.deepEqual(balancedSets([100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 5, 5], 3, equal), [
      [0, 5, 6, 10],
      [1, 4, 7, 11],
      [2, 3, 8, 9],
    ]);
    assert.deepEqual(balancedSets([4, 4, 4, 4], 2, equal), [
      [0, 3],
      [1, 2],
    ]);
  });

  it('places every row once, in sets none of which is empty', () => {
    const drawn = fc.tuple(
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 6, maxLength: 40 }),
      fc.integer({ min: 1, max: 6 }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(drawn, ([all, setCount, equalSize]) => {
        const used = equalSize ? all.slice(0, all.length - (all.length % setCount)) : all;
        const sets = balancedSets(used, setCount, { equalSize });
        assert.deepEqual(
          sets.flat().sort((a, b) => a - b),
          [...used.keys()],
        );
        assert.ok(sets.every((rows) => rows.length > 0));
        if (equalSize) assert.ok(sets.every((rows) => rows.length === used.length / setCount));
      }),
    );
  });

  it('refuses fewer rows than sets, and unequal sizes where equal ones are asked for', () => {
    assert.throws(() => balancedSets([1], 2, { equalSize: false }), { code: 'SHAPE_MISMATCH' });
    assert.throws(() => balancedSets([1, 2, 3], 2, equal), /3 rows do not make 2 equal sets/);
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
