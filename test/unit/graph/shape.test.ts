import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CxmindError } from '../../../src/errors.ts';
import type { Dim } from '../../../src/graph/ir.ts';
import {
  differenceDim,
  evaluateDim,
  mayHoldSame,
  normalDim,
  productDim,
  quotientDim,
  sumDim,
} from '../../../src/graph/dim.ts';
import { areSized, broadcastShapes, shapesOf } from '../../../src/graph/shape.ts';

type Sizes = Record<string, number>;

const valueOf = (dim: Dim, sizes: Sizes): number =>
  evaluateDim(dim, {
    number: (value) => value,
    symbol: (name) => sizes[name]!,
    binary: (operator, a, b) =>
      ({ '+': a + b, '-': a - b, '*': a * b, '/': Math.trunc(a / b) })[operator],
  });

const sizes = fc.record({
  T: fc.integer({ min: 1, max: 99 }),
  P: fc.integer({ min: 1, max: 99 }),
  N: fc.integer({ min: 1, max: 99 }).map((n) => n * 12),
});
const leaf: fc.Arbitrary<Dim> = fc.oneof(
  fc.constantFrom('T', 'P', 'N', 'N/4', 'T+P', 'T-1', '(P+2)*3'),
  fc.integer({ min: 0, max: 9 }),
);
const dims = fc.array(leaf, { minLength: 1, maxLength: 4 });

describe('dimension algebra', () => {
  it('keeps the value of what it simplifies', () => {
    fc.assert(
      fc.property(sizes, dims, leaf, (at, list, other) => {
        const numbers = list.map((dim) => valueOf(dim, at));
        const sum = numbers.reduce((a, b) => a + b, 0);
        assert.equal(valueOf(sumDim(list), at), sum);
        assert.equal(
          valueOf(productDim(list), at),
          numbers.reduce((a, b) => a * b, 1),
        );
        assert.equal(valueOf(differenceDim(other, list), at), valueOf(other, at) - sum);
      }),
    );
  });

  it('writes equal dimensions alike, whatever the order they came in', () => {
    fc.assert(
      fc.property(dims, (list) => {
        assert.equal(sumDim(list), sumDim(list.toReversed()));
        assert.equal(productDim(list), productDim(list.toReversed()));
        assert.equal(normalDim(sumDim(list)), sumDim(list));
      }),
    );
    assert.equal(normalDim('T+P+0'), 'P+T');
    assert.equal(sumDim(['T-1', 1]), 'T');
    assert.equal(productDim(['T', 4, 8]), 'T*32');
    assert.equal(productDim(['N/4', 8]), 'N*2');
    assert.equal(differenceDim('P+T', ['T']), 'P');
  });

  it('divides where the quotient is certain', () => {
    assert.equal(quotientDim(['T', 2048], ['T', 16]), 128);
    assert.equal(quotientDim(['T', 6], [4]), 'T*3/2');
    assert.equal(quotientDim(['T', 6], ['P']), undefined);
    assert.equal(quotientDim([7], [2]), undefined);
    assert.equal(valueOf('T*3/2', { T: 10 }), 15);
    assert.equal(normalDim('(P+T)/4'), '((P+T)/(4))');
  });

  it('tells shapes that cannot hold the same number of elements', () => {
    assert.equal(mayHoldSame(['T', 8], ['T', 4, 2]), true);
    assert.equal(mayHoldSame(['T', 8], ['T', 9]), false);
    assert.equal(mayHoldSame(['T+1'], ['T']), false);
    assert.equal(mayHoldSame(['N', 4], ['M', 16]), true);
  });

  it('broadcasts ones and equal symbols only', () => {
    assert.deepEqual(broadcastShapes([['T', 1], [1, 'P'], ['P']]), ['T', 'P']);
    assert.equal(broadcastShapes([['T'], ['P']]), undefined);
    assert.equal(broadcastShapes([['T'], [4]]), undefined);
  });

  it('refuses what is not an expression', () => {
    for (const text of ['', 'T+', '(T', 'T)', '?', '2 T']) {
      assert.throws(
        () => normalDim(text),
        (error) => error instanceof CxmindError && error.code === 'GRAPH_INVALID',
        text,
      );
    }
  });
});

describe('sizes of shapes', () => {
  it('come from expressions of one symbol too', () => {
    const cases = [
      { given: ['T*2'], at: [14], wanted: ['T', 'T*5', 3], sizes: [7, 35, 3] },
      { given: ['N/4+1', 'P'], at: [4, 5], wanted: ['N', 'N+P'], sizes: [12, 17] },
      { given: ['T+P', 'P'], at: [9, 2], wanted: ['T+P'], sizes: [9] },
    ];
    for (const { given, at, wanted, sizes: expected } of cases) {
      const from = [{ dtype: 'f32', shape: given } as const];
      assert.ok(areSized([wanted], from));
      assert.deepEqual(shapesOf([{ shape: wanted }], from, [at]), [expected]);
    }
  });

  it('are not told by a sum of two symbols, or a product', () => {
    for (const dim of ['T+P', 'T*P']) {
      const from = [{ dtype: 'f32', shape: [dim] } as const];
      assert.equal(areSized([['T']], from), false);
      assert.throws(() => shapesOf([{ shape: ['T'] }], from, [[6]]), /no input has dimension T/);
    }
  });
});
