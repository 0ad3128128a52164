import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  lossAverage,
  lossAverageWeights,
  maskedMean,
  maskedVariance,
  maskedWhiten,
  tokenRows,
} from '../../../src/algorithms/primitives.ts';
import { assertClose } from '../../support/assert-close.ts';

describe('maskedMean, maskedVariance, maskedWhiten', () => {
  const values = Float32Array.of(1, 2, 3, 4, 5, 6);
  const rows = tokenRows([3, 3], Uint8Array.of(1, 1, 0, 1, 1, 1));

  it('give the check values of the specification', () => {
    assertClose([maskedMean(values, rows)], [3.6], { atol: 1e-7 });
    assertClose([maskedVariance(values, rows)], [4.3], { atol: 3e-7 });
    assertClose(
      maskedWhiten(values, rows),
      [-1.25383127, -0.77158844, -0.28934565, 0.19289717, 0.67514002, 1.15738285],
      { atol: 1.2e-7 },
    );
  });

  it('leave the variance of a single token uncorrected', () => {
    assert.equal(maskedVariance(Float32Array.of(2, 7), tokenRows([2], Uint8Array.of(1, 0))), 0);
  });

  it('give 0 where nothing counts', () => {
    assert.equal(maskedMean(Float32Array.of(2, 7), tokenRows([2], Uint8Array.of(0, 0))), 0);
  });

  it('whiten to mean 0 and variance 1 over the tokens that count', () => {
    const sample = fc.array(fc.tuple(fc.float({ min: -9, max: 9, noNaN: true }), fc.boolean()), {
      minLength: 8,
      maxLength: 40,
    });
    fc.assert(
      fc.property(sample, (pairs) => {
        const values = Float32Array.from(pairs, ([value], i) => value + i);
        const mask = Uint8Array.from(pairs, ([, counts], i) => Number(counts || i < 4));
        const rows = tokenRows([values.length], mask);
        fc.pre(maskedVariance(values, rows) > 0.1);
        const white = maskedWhiten(values, rows);
        assertClose([maskedMean(white, rows)], [0], { atol: 1e-5 });
        assertClose([maskedVariance(white, rows)], [1], { atol: 1e-5 });
      }),
    );
  });
});

describe('lossAverage', () => {
  const values = Float32Array.of(1, 2, 9, 5, 9, 9);

  it('averages over all tokens, or by row and then over rows', () => {
    const rows = tokenRows([3, 3], Uint8Array.of(1, 1, 0, 1, 0, 0));
    assertClose([lossAverage(values, rows, 'token')], [8 / 3], { rtol: 1e-7 });
    assertClose([lossAverage(values, rows, 'seq')], [(1.5 + 5) / 2], { rtol: 1e-7 });
  });

  it('counts a row without tokens as 0 in seq mode', () => {
    const rows = tokenRows([2, 1], Uint8Array.of(1, 1, 0));
    assertClose([lossAverage(values.subarray(0, 3), rows, 'seq')], [0.75], { rtol: 1e-7 });
  });

  it('is the sum of values times lossAverageWeights', () => {
    const rows = tokenRows([3, 0, 3], Uint8Array.of(1, 1, 0, 1, 0, 0));
    for (const mode of ['token', 'seq'] as const) {
      const weights = lossAverageWeights(rows, mode);
      const weighted = values.reduce((total, value, t) => total + value * weights[t]!, 0);
      assertClose([weighted], [lossAverage(values, rows, mode)], { rtol: 1e-6 });
    }
  });
});
