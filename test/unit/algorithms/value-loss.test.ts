import assert from 'node:assert/strict';
import fc from 'fast-check';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { valueLoss } from '../../../src/algorithms/value-loss.ts';
import { assertClose } from '../../support/assert-close.ts';
import { mask, packed, padded, rectangle, rewards, unpadded } from './reference-case.ts';

const oldValues = rectangle(
  [0.1, 0.2, 0.3],
  [0, 0.1, 0.2, 0.3, 0.4],
  [0.5, 0.4],
  [0.2, 0.2, 0.2, 0.2],
);
const change = rectangle([1, -1, 1], [0, 1, -1, 1, 0.3], [1, 1], [-0.2, 0.1, 0.9]);
const values = oldValues.map((value, t) => value + 0.7 * change[t]!);
const returns = rewards.map((reward, t) => reward + oldValues[t]!);

describe('valueLoss', () => {
  it('gives the check values, padded and packed', () => {
    for (const [lossAvgMode, expected] of [
      ['token', 0.15976787],
      ['seq', 0.15990874],
    ] as const) {
      const chosen = { cliprangeValue: 0.5, lossAvgMode };
      const inPadding = valueLoss({ ...padded, values, oldValues, returns }, chosen);
      const inPack = valueLoss(
        {
          ...packed,
          values: unpadded(values),
          oldValues: unpadded(oldValues),
          returns: unpadded(returns),
        },
        chosen,
      );
      for (const { loss, metrics } of [inPadding, inPack]) {
        assertClose([loss, metrics.vf_loss], [expected, expected], { atol: 3e-8 });
        assertClose([metrics.vf_clipfrac], [0.07142857], { atol: 1e-8 });
        assertClose([metrics.vpred_mean], [0.49071428], { atol: 6e-8 });
      }
      assert.deepEqual(unpadded(inPadding.gradient), inPack.gradient);
      assert.ok(inPadding.gradient.every((value, t) => mask[t] === 1 || value === 0));
    }
  });

  it('has the gradient that central differences find', () => {
    const tokens = fc.array(
      fc.record({
        old: fc.double({ min: -1, max: 1, noNaN: true }),
        change: fc.constantFrom(-0.7, -0.3, 0.2, 0.8),
        error: fc.constantFrom(-1.3, -0.45, 0.31, 1.7),
      }),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(tokens, fc.constantFrom('token', 'seq'), (drawn, lossAvgMode) => {
        const half = drawn.length >> 1;
        const at = Float32Array.from(drawn, ({ old, change }) => old + change);
        const input = {
          ...tokenRows([half, drawn.length - half]),
          oldValues: Float32Array.from(drawn, ({ old }) => old),
          returns: Float32Array.from(drawn, ({ error }, t) => at[t]! - error),
        };
        const lossOf = (now: Float32Array): number =>
          valueLoss({ ...input, values: now }, { cliprangeValue: 0.5, lossAvgMode }).loss;
        const step = 1 / 256;
        const slopes = at.map((_, t) => {
          const [up, down] = [at.slice(), at.slice()];
          up[t]! += step;
          down[t]! -= step;
          return (lossOf(up) - lossOf(down)) / (2 * step);
        });
        const { gradient } = valueLoss(
          { ...input, values: at },
          { cliprangeValue: 0.5, lossAvgMode },
        );
        assertClose(gradient, slopes, { rtol: 2e-3, atol: 2e-4 });
      }),
    );
  });
});
