import assert from 'node:assert/strict';
import fc from 'fast-check';
import { keyOf } from '../../../src/check/scalars.ts';
import { klEstimators } from '../../../src/algorithms/kl.ts';
import {
  policyLoss,
  type PolicyLossInput,
  type PolicyLossOptions,
} from '../../../src/algorithms/policy-loss.ts';
import { policyLosses } from '../../../src/algorithms/policy-losses.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { assertClose } from '../../support/assert-close.ts';
import { usualLoss as options } from '../../support/usual-loss.ts';
import { mask, packed, packedRow, padded, rectangle, unpadded } from './reference-case.ts';

const inPadding: PolicyLossInput = {
  ...padded,
  oldLogProbs: rectangle(
    [-1, -0.5, -2, -1, -1],
    [-0.2, -0.9, -1.1, -0.4, -3],
    [-0.7, -0.6, -1, -1, -1],
    [-1.5, -0.3, -0.8, -2.2, -1],
  ),
  logProbs: rectangle(
    [-0.8, -0.9, -1, -1, -1],
    [-0.4, -0.3, -1.9, -0.5, -1],
    [-0.7, -2.6, -1, -1, -1],
    [-1.4, -0.35, -0.2, -2, -1],
  ),
  advantages: rectangle([1, 1, 1], [-1, -1, -1, -1, -1], [-0.5, -0.5], [0.5, 0.5, 0.5, 0.5]),
};
const inPack: PolicyLossInput = {
  ...packed,
  oldLogProbs: unpadded(inPadding.oldLogProbs),
  logProbs: unpadded(inPadding.logProbs),
  advantages: unpadded(inPadding.advantages),
};
const modes = ['token', 'seq'] as const;

/**
 * One float32 rounding at 1, the size of the token losses: the reference rounds its running sums where
 * we round once, so the last digit differs either way (in float64 sapo/seq is -0.13327499).
 */
const roundingAtOne = { atol: 1.3e-7 };

describe('policyLoss on the check values', () => {
  const expected = {
    default: [0.19750449, 0.0707511],
    gspo: [0.08398296, -0.04213107],
    gspo_token: [0.08398297, -0.04213107],
    cispo: [-0.00652151, 0.01973262],
    sapo: [0.07668439, -0.13327494],
  };

  for (const lossType of keyOf(expected).values) {
    for (const [i, lossAvgMode] of modes.entries()) {
      it(`${lossType}, ${lossAvgMode}: loss and metrics, padded and packed`, () => {
        for (const input of [inPadding, inPack]) {
          const { loss, metrics } = policyLoss(input, { ...options, lossType, lossAvgMode });
          assertClose(
            [loss, metrics.pg_loss],
            [expected[lossType][i]!, expected[lossType][i]!],
            roundingAtOne,
          );
          assertClose([metrics.ppo_kl], [-0.08214289], { atol: 3e-8 });
          assertClose([metrics.entropy_loss], [[1.00357139, 1.0893749][i]!], roundingAtOne);
        }
      });
    }
  }

  it('clip fractions of default and gspo, and none for cispo and sapo', () => {
    const fractions = (lossType: PolicyLossOptions['lossType']): (number | undefined)[] => {
      const { metrics } = policyLoss(inPadding, { ...options, lossType });
      return [metrics.pg_clipfrac_higher, metrics.pg_clipfrac_lower];
    };
    assertClose(fractions('default') as number[], [0.2857143, 0.07142857], { atol: 1e-8 });
    assertClose(fractions('gspo') as number[], [0.35714287, 0], { atol: 1e-8 });
    assert.deepEqual(fractions('cispo'), [undefined, undefined]);
    assert.deepEqual(fractions('sapo'), [undefined, undefined]);
  });

  const gradients: readonly (readonly [
    PolicyLossOptions['lossType'],
    readonly (readonly number[])[],
  ])[] = [
    [
      'default',
      [
        [-0.08724306, -0.04788001, 0],
        [0.05848077, 0.13015135, 0, 0.06463125, 0],
        [0.03571429, 0],
        [-0.03947039, -0.03397248, 0, -0.04362153],
      ],
    ],
    ...(['gspo', 'gspo_token'] as const).map(
      (lossType) =>
        [
          lossType,
          [
            [0, 0, 0],
            new Array<number>(5).fill(0.09641849),
            [0, 0],
            new Array<number>(4).fill(-0.04417022),
          ],
        ] as const,
    ),
    ['cispo', [[-0.08724306, -0.05714286, -0.09285714]]],
    ['sapo', [[-0.08618259, -0.04660221, -0.1001574]]],
  ];
  for (const [lossType, rows] of gradients) {
    it(`gradient of ${lossType}`, () => {
      const { gradient } = policyLoss(inPack, { ...options, lossType });
      for (const [i, row] of rows.entries()) {
        assertClose(packedRow(gradient, i), row, { atol: 1.5e-8 }, `row ${i}`);
      }
    });
  }
});

describe('policyLoss', () => {
  /** Rows whose log-ratios keep clear of the kinks, where a derivative has no one value. */
  const batches = fc
    .array(
      fc.array(
        fc.record({
          old: fc.double({ min: -3, max: -0.5, noNaN: true }),
          ratio: fc.constantFrom(-0.6, -0.4, -0.1, 0.08, 0.15, 0.5, 1.5),
          jitter: fc.double({ min: -0.02, max: 0.02, noNaN: true }),
          advantage: fc.constantFrom(-1.5, -0.5, 0.4, 1.2),
          reference: fc.double({ min: 0.2, max: 1, noNaN: true }),
          counts: fc.boolean(),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      { minLength: 1, maxLength: 4 },
    )
    .map((rows): PolicyLossInput & { refLogProbs: Float32Array } => {
      const tokens = rows.flat();
      return {
        ...tokenRows(
          rows.map((row) => row.length),
          Uint8Array.from(tokens, ({ counts }, t) => Number(counts || t === 0)),
        ),
        oldLogProbs: Float32Array.from(tokens, ({ old }) => old),
        logProbs: Float32Array.from(tokens, ({ old, ratio, jitter }) => old + ratio + jitter),
        advantages: Float32Array.from(tokens, ({ advantage }) => advantage),
        refLogProbs: Float32Array.from(
          tokens,
          ({ old, ratio, jitter, reference }) => old + ratio + jitter - reference,
        ),
      };
    });

  /** dLoss/dLogProbs by central differences. */
  function slopes(lossOf: (logProbs: Float32Array) => number, at: Float32Array): Float64Array {
    const step = 1 / 256;
    return Float64Array.from(at, (_, t) => {
      const [up, down] = [at.slice(), at.slice()];
      up[t]! += step;
      down[t]! -= step;
      return (lossOf(up) - lossOf(down)) / (up[t]! - down[t]!);
    });
  }

  // gspo's and gspo_token's ratio is a mean over the row, so a row can come near a kink by itself.
  const isNearKink = (input: PolicyLossInput): boolean =>
    [...input.offsets.keys()].slice(1).some((i) => {
      let [total, count] = [0, 0];
      for (let t = input.offsets[i - 1]!; t < input.offsets[i]!; t++) {
        if (input.mask?.[t] !== 1) continue;
        total += input.logProbs[t]! - input.oldLogProbs[t]!;
        count++;
      }
      const edges = [Math.log(0.8), Math.log(1.3), Math.log(3)];
      return edges.some((edge) => Math.abs(total / Math.max(1, count) - edge) < 0.01);
    });

  for (const lossType of ['default', 'gspo', 'sapo', 'gpg', 'geo_mean'] as const) {
    it(`${lossType} has the gradient that central differences find`, () => {
      fc.assert(
        fc.property(batches, fc.constantFrom(...modes), (input, lossAvgMode) => {
          fc.pre(!isNearKink(input));
          const chosen = { ...options, lossType, lossAvgMode };
          const { gradient } = policyLoss(input, chosen);
          const lossOf = (logProbs: Float32Array): number =>
            policyLoss({ ...input, logProbs }, chosen).loss;
          assertClose(gradient, slopes(lossOf, input.logProbs), { rtol: 2e-3, atol: 2e-4 });
        }),
      );
    });
  }

  for (const lossType of ['cispo', 'vespo'] as const) {
    it(`${lossType} has the gradient of its loss with the ratio held constant`, () => {
      fc.assert(
        fc.property(batches, fc.constantFrom(...modes), (input, lossAvgMode) => {
          const chosen = { ...options, lossType, lossAvgMode };
          const { gradient } = policyLoss(input, chosen);
          // Moving old along with new keeps every ratio.
          const lossOf = (logProbs: Float32Array): number => {
            const oldLogProbs = logProbs.map(
              (logProb, t) => logProb - (input.logProbs[t]! - input.oldLogProbs[t]!),
            );
            return policyLoss({ ...input, logProbs, oldLogProbs }, chosen).loss;
          };
          assertClose(gradient, slopes(lossOf, input.logProbs), { rtol: 2e-3, atol: 3e-4 });
        }),
      );
    });
  }

  it('gspo_token has gspo’s gradient where a response has one advantage', () => {
    fc.assert(
      fc.property(batches, fc.constantFrom(...modes), (input, lossAvgMode) => {
        const advantages = new Float32Array(input.advantages.length);
        for (let i = 0; i + 1 < input.offsets.length; i++) {
          const start = input.offsets[i]!;
          advantages.fill(input.advantages[start]!, start, input.offsets[i + 1]);
        }
        const [whole, token] = (['gspo', 'gspo_token'] as const).map(
          (lossType) =>
            policyLoss({ ...input, advantages }, { ...options, lossType, lossAvgMode }).gradient,
        );
        assertClose(token!, whole!, { rtol: 1e-6, atol: 1e-7 });
      }),
    );
  });

  for (const klPenalty of keyOf(klEstimators).values) {
    it(`adds klCoef times the average ${klPenalty}, with its gradient`, () => {
      fc.assert(
        fc.property(batches, fc.constantFrom(...modes), (input, lossAvgMode) => {
          const chosen = { ...options, lossAvgMode, klPenalty, klCoef: 0.5 };
          const without = policyLoss(input, chosen);
          const { loss, gradient, metrics } = policyLoss(input, { ...chosen, useKlLoss: true });
          assert.equal(without.metrics.kl_loss, undefined);
          assert.equal(metrics.pg_loss, without.loss);
          assertClose([loss], [without.loss + 0.5 * metrics.kl_loss!], { rtol: 1e-6, atol: 1e-6 });
          const lossOf = (logProbs: Float32Array): number =>
            policyLoss({ ...input, logProbs }, { ...chosen, useKlLoss: true }).metrics.kl_loss!;
          const term = gradient.map((value, t) => value - without.gradient[t]!);
          const half = slopes(lossOf, input.logProbs).map((slope) => slope / 2);
          assertClose(term, half, { rtol: 2e-3, atol: 2e-4 });
        }),
      );
    });
  }

  it('gives masked tokens no gradient, whatever stands there', () => {
    const wild = inPadding.logProbs.map((value, t) => (mask[t] === 1 ? value : 700));
    for (const lossType of keyOf(policyLosses).values) {
      const chosen = { ...options, lossType, useKlLoss: true };
      const refLogProbs = inPadding.oldLogProbs;
      const tame = policyLoss({ ...inPadding, refLogProbs }, chosen);
      const { loss, gradient } = policyLoss({ ...inPadding, logProbs: wild, refLogProbs }, chosen);
      assert.equal(loss, tame.loss);
      assert.deepEqual(unpadded(gradient), unpadded(tame.gradient));
      assert.ok(gradient.every((value, t) => mask[t] === 1 || value === 0));
    }
  });

  it('has the policy gradient of REINFORCE on-policy: minus the advantage over the tokens', () => {
    const onPolicy = { ...inPack, logProbs: inPack.oldLogProbs };
    const expected = inPack.advantages.map((advantage) => -advantage / 14);
    // The average of GMPO and LUSPO is over responses, and Clip-Cov leaves tokens out.
    const byToken = keyOf(policyLosses).values.filter(
      (lossType) => !['geo_mean', 'luspo', 'clip_cov'].includes(lossType),
    );
    for (const lossType of byToken) {
      const { gradient, metrics } = policyLoss(onPolicy, { ...options, lossType });
      assertClose(gradient, expected, { rtol: 1e-6 }, lossType);
      assert.equal(Math.abs(metrics.ppo_kl), 0);
    }
  });

  it('has no lower bound at clipRatioLow 1', () => {
    const { loss } = policyLoss(inPack, { ...options, clipRatioLow: 1 });
    assert.ok(Number.isFinite(loss));
  });

  it('does not depend on the order of the responses', () => {
    const order = [3, 1, 0, 2];
    const move = (values: Float32Array): Float32Array =>
      Float32Array.from(order.flatMap((i) => [...packedRow(values, i)]));
    const moved: PolicyLossInput = {
      ...tokenRows(order.map((i) => packed.offsets[i + 1]! - packed.offsets[i]!)),
      logProbs: move(inPack.logProbs),
      oldLogProbs: move(inPack.oldLogProbs),
      advantages: move(inPack.advantages),
    };
    for (const lossType of keyOf(policyLosses).values) {
      const straight = policyLoss(inPack, { ...options, lossType });
      const shuffled = policyLoss(moved, { ...options, lossType });
      assertClose([shuffled.loss], [straight.loss], { rtol: 1e-6 });
      assertClose(shuffled.gradient, move(straight.gradient), { rtol: 1e-6 });
    }
  });

  it('is the token mean of the mini-batch once micro-batches are scaled', () => {
    const part = (first: number, last: number): PolicyLossInput => {
      const [start, end] = [packed.offsets[first]!, packed.offsets[last]!];
      return {
        offsets: packed.offsets.slice(first, last + 1).map((offset) => offset - start),
        logProbs: inPack.logProbs.subarray(start, end),
        oldLogProbs: inPack.oldLogProbs.subarray(start, end),
        advantages: inPack.advantages.subarray(start, end),
      };
    };
    const whole = policyLoss(inPack, options).gradient;
    const [rank0, rank1] = [part(0, 1), part(1, 4)];
    const scaled = [rank0, rank1].flatMap((input) => {
      const { gradient } = policyLoss(input, options);
      return [...gradient].map((value) => (value * gradient.length) / 14);
    });
    assertClose(scaled, whole, { rtol: 1e-6 });
  });

  it('refuses arrays of different lengths', () => {
    assert.throws(
      () => policyLoss({ ...inPack, advantages: new Float32Array(3) }, options),
      /advantages wants \[T=14\] values, got \[3\]/,
    );
  });
});
