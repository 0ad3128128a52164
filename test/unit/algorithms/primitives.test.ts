import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
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
