import assert from 'node:assert/strict';
import fc from 'fast-check';
import { keyOf } from '../../../src/check/scalars.ts';
import {
  estimateKl,
  klEstimators,
  updateKlController,
  type KlController,
} from '../../../src/algorithms/kl.ts';
import { lossAverage } from '../../../src/algorithms/loss-average.ts';
import { penalizeRewards, tokenLevelScores } from '../../../src/algorithms/token-rewards.ts';
import { assertClose } from '../../support/assert-close.ts';
import { packed, padded, rectangle, rewards, unpadded } from './reference-case.ts';

const difference = rectangle(
  [0.1, -0.2, 0.3],
  [0.5, 0.1, -1, 0.2, 0],
  [0, -0.4],
  [0.2, 0.2, -0.2, 3],
);
const nothing = new Float32Array(difference.length);

describe('estimateKl', () => {
  const expected = {
    kl: [0.2, 0.15666665],
    abs: [0.45714283, 0.41500002],
    mse: [0.38285714, 0.33333334],
    low_var_kl: [0.22256534, 0.19127603],
  };

  for (const kind of keyOf(klEstimators).values) {
    it(`gives the check values of ${kind}, padded and packed`, () => {
      const inPadding = estimateKl(difference, nothing, kind).values;
      const inPack = unpadded(inPadding);
      for (const [i, lossAvgMode] of (['token', 'seq'] as const).entries()) {
        const averages = [
          lossAverage(inPadding, padded, { lossAvgMode }),
          lossAverage(inPack, packed, { lossAvgMode }),
        ];
        assertClose(averages, [expected[kind][i]!, expected[kind][i]!], { atol: 6e-8 });
      }
    });

    it(`has the derivative of ${kind} that central differences find`, () => {
      const point = fc.double({ min: -4, max: 2.2, noNaN: true });
      fc.assert(
        fc.property(point, (d) => {
          fc.pre(Math.abs(d) > 0.05);
          const at = (shift: number): number =>
            estimateKl(Float32Array.of(d + shift), Float32Array.of(0), kind).values[0]!;
          const step = 1 / 128;
          const slope = (at(step) - at(-step)) / (2 * step);
          const { derivatives } = estimateKl(Float32Array.of(d), Float32Array.of(0), kind);
          assertClose(derivatives, [slope], { rtol: 1e-3, atol: 1e-3 });
        }),
      );
    });
  }

  it('gives the single check values of low_var_kl, clamped far out', () => {
    const d = Float32Array.of(0.1, -1, 3, 50, -50);
    const { values, derivatives } = estimateKl(d, new Float32Array(5), 'low_var_kl');
    assertClose(values, [0.00483739, 0.71828175, 2.04978704, 10, 10], { atol: 1e-8 });
    assertClose(derivatives.subarray(3), [0, 0], {});
  });

  it('is 0 where policy and reference agree, and never negative but for one rounding of e^x: abs, mse, low_var_kl', () => {
    const logProbs = fc.float32Array({ min: -30, max: 0, noNaN: true, maxLength: 20 });
    fc.assert(
      fc.property(logProbs, (values) => {
        const reference = values.map((value, t) => value * ((t % 3) - 0.5));
        for (const kind of ['abs', 'mse', 'low_var_kl'] as const) {
          assert.ok(estimateKl(values, values, kind).values.every((kl) => kl === 0));
          assert.ok(estimateKl(values, reference, kind).values.every((kl) => kl >= -(2 ** -23)));
        }
      }),
    );
  });
});

describe('updateKlController', () => {
  it('moves the adaptive coefficient as the specification computes', () => {
    const start: KlController = { kind: 'adaptive', coef: 0.001, target: 0.1, horizon: 10000 };
    const raised = updateKlController(start, 0.5, 640);
    assertClose([raised.coef], [0.0010128], { rtol: 1e-14 });
    assertClose([updateKlController(raised, 0.05, 640).coef], [0.00099983616], { rtol: 1e-14 });
  });

  it('leaves the fixed coefficient', () => {
    assert.equal(updateKlController({ kind: 'fixed', coef: 0.01 }, 9, 640).coef, 0.01);
  });
});

describe('token rewards', () => {
  it('hold each score at the last token that counts', () => {
    const scores = Float32Array.of(1, 0.1, 0.5, 0.9);
    assert.deepEqual(tokenLevelScores(scores, padded), rewards);
    assert.deepEqual(tokenLevelScores(scores, packed), unpadded(rewards));
  });

  it('lose the KL of every token that counts, and report its mean over samples', () => {
    const { rewards: penalized, currentKl } = penalizeRewards(
      { ...padded, tokenScores: rewards, oldLogProbs: difference, refLogProbs: nothing },
      { kind: 'kl', coef: 0.5 },
    );
    assertClose(penalized.subarray(0, 5), [-0.05, 0.1, 0.85, 0, 0], { atol: 1e-7 });
    assertClose([currentKl], [0.15666665], { atol: 3e-8 });
  });

  it('do not change where the policy is the reference', () => {
    const { rewards: same, currentKl } = penalizeRewards(
      { ...padded, tokenScores: rewards, oldLogProbs: difference, refLogProbs: difference },
      { kind: 'low_var_kl', coef: 0.5 },
    );
    assert.deepEqual(same, rewards);
    assert.equal(currentKl, 0);
  });

  it('want one score a row', () => {
    assert.throws(() => tokenLevelScores(Float32Array.of(1), padded), { code: 'SHAPE_MISMATCH' });
  });
});
