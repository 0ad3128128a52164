import fc from 'fast-check';
import { keyOf } from '../../../src/check/scalars.ts';
import {
  lossAverage,
  lossAverages,
  lossAverageWeights,
} from '../../../src/algorithms/loss-average.ts';
import { maskSum, tokenRows, type TokenRows } from '../../../src/algorithms/primitives.ts';
import { assertClose } from '../../support/assert-close.ts';

const modes = keyOf(lossAverages).values;

describe('lossAverage', () => {
  const values = Float32Array.of(1, 2, 9, 5, 9, 9);

  it('averages over all tokens, or by row and then over rows', () => {
    const rows = tokenRows([3, 3], Uint8Array.of(1, 1, 0, 1, 0, 0));
    assertClose([lossAverage(values, rows, { lossAvgMode: 'token' })], [8 / 3], { rtol: 1e-7 });
    assertClose([lossAverage(values, rows, { lossAvgMode: 'seq' })], [(1.5 + 5) / 2], {
      rtol: 1e-7,
    });
  });

  it('counts a row without tokens as 0 in seq mode', () => {
    const rows = tokenRows([2, 1], Uint8Array.of(1, 1, 0));
    assertClose([lossAverage(values.subarray(0, 3), rows, { lossAvgMode: 'seq' })], [0.75], {
      rtol: 1e-7,
    });
  });

  it('is the sum of values times lossAverageWeights', () => {
    const rows = tokenRows([3, 0, 3], Uint8Array.of(1, 1, 0, 1, 0, 0));
    for (const lossAvgMode of modes) {
      const weights = lossAverageWeights(rows, { lossAvgMode });
      const weighted = values.reduce((total, value, t) => total + value * weights[t]!, 0);
      assertClose([weighted], [lossAverage(values, rows, { lossAvgMode })], { rtol: 1e-6 });
    }
  });

  it('is that of the whole mini-batch however it is divided, but for seq', () => {
    const row = fc.array(fc.boolean(), { minLength: 1, maxLength: 5 });
    const parts = fc.array(fc.array(row, { maxLength: 3 }), { minLength: 1, maxLength: 3 });
    const rowsOf = (masks: readonly (readonly boolean[])[]): TokenRows =>
      tokenRows(
        masks.map(({ length }) => length),
        Uint8Array.from(masks.flat(), Number),
      );
    fc.assert(
      fc.property(parts, fc.constantFrom(...modes), (divided, lossAvgMode) => {
        fc.pre(lossAvgMode !== 'seq');
        const options = { lossAvgMode, lossScaleFactor: 7 };
        const all = divided.flat();
        const whole = { tokens: maskSum(rowsOf(all)), sequences: all.length };
        const weights = divided.flatMap((part) => {
          const rows = rowsOf(part);
          // What the updates multiply by.
          const share = whole.tokens === 0 ? 0 : maskSum(rows) / whole.tokens;
          return [...lossAverageWeights({ ...rows, whole }, options)].map((w) => w * share);
        });
        assertClose(weights, lossAverageWeights(rowsOf(all), options), { rtol: 1e-6 });
      }),
    );
  });
});
