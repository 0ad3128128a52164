import assert from 'node:assert/strict';
import { advantageEstimators, type AdvantageEstimatorName } from '../../src/algorithms/advantage.ts';
import { estimateKl, updateKlController, type KlController, type KlKind } from '../../src/algorithms/kl.ts';
import {
  policyLoss,
  type PolicyLossMetrics,
  type PolicyLossOptions,
} from '../../src/algorithms/policy-loss.ts';
import { lossAverage } from '../../src/algorithms/loss-average.ts';
import {
  maskedMean,
  maskedVariance,
  maskedWhiten,
} from '../../src/algorithms/primitives.ts';
import {
  balancedSets,
  balanceMetrics,
  dynamicBatchCount,
  dynamicBatches,
} from '../../src/algorithms/sequence-balance.ts';
import { penalizeRewards, tokenLevelScores } from '../../src/algorithms/token-rewards.ts';
import { valueLoss } from '../../src/algorithms/value-loss.ts';
import { clipFactor } from '../../src/optim/clip.ts';
import { lrFactor, type LrScheduleKind } from '../../src/algorithms/schedule.ts';
import { openDevice } from '../../src/device/open.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';
import { adamWOver, flatView } from '../support/flat-adamw.ts';
import { goldenJson } from '../support/golden.ts';
import { flat, rowsOf, type Rectangle } from '../support/golden-rows.ts';

interface Golden {
  readonly advantages: readonly {
    readonly name: AdvantageEstimatorName;
    readonly kind: string;
    readonly groups: readonly string[];
    readonly mask: Rectangle;
    readonly rewards: Rectangle;
    readonly values: Rectangle;
    readonly baselines: readonly number[];
    readonly gamma: number;
    readonly lambda: number;
    readonly advantages: Rectangle;
    readonly returns: Rectangle;
  }[];
  readonly kls: readonly {
    readonly kind: KlKind;
    readonly logProbs: readonly number[];
    readonly refLogProbs: readonly number[];
    readonly values: readonly number[];
    readonly derivatives: readonly number[];
  }[];
  readonly penalties: readonly {
    readonly kind: KlKind;
    readonly coef: number;
    readonly mask: Rectangle;
    readonly old: Rectangle;
    readonly ref: Rectangle;
    readonly scores: readonly number[];
    readonly tokenScores: Rectangle;
    readonly rewards: Rectangle;
    readonly currentKl: number;
  }[];
  readonly controllers: readonly {
    readonly coef: number;
    readonly target: number;
    readonly horizon: number;
    readonly steps: readonly { kl: number; samples: number; coef: number }[];
  }[];
  readonly policyLosses: readonly {
    readonly options: PolicyLossOptions;
    readonly mask: Rectangle;
    readonly logProbs: Rectangle;
    readonly oldLogProbs: Rectangle;
    readonly advantages: Rectangle;
    readonly refLogProbs: Rectangle;
    readonly loss: number;
    readonly gradient: Rectangle;
    readonly metrics: Readonly<Record<keyof PolicyLossMetrics, number>>;
  }[];
  readonly valueLosses: readonly {
    readonly lossAvgMode: 'token' | 'seq';
    readonly cliprangeValue: number;
    readonly mask: Rectangle;
    readonly values: Rectangle;
    readonly oldValues: Rectangle;
    readonly returns: Rectangle;
    readonly loss: number;
    readonly gradient: Rectangle;
    readonly clipfrac: number;
    readonly mean: number;
  }[];
  /** Log ratios at a bound or a float32 beside one, and values that moved by the clip range or nearly that. */
  readonly policyBounds: Golden['policyLosses'];
  readonly valueBounds: Golden['valueLosses'];
  readonly whitenings: readonly {
    readonly mask: Rectangle;
    readonly x: Rectangle;
    readonly mean: number;
    readonly variance: number;
    readonly whitened: Rectangle;
    readonly average: Readonly<Record<'token' | 'seq', number>>;
  }[];
  readonly schedules: readonly {
    readonly kind: LrScheduleKind;
    readonly warmup: number;
    readonly total: number;
    readonly minRatio: number;
    readonly factors: readonly number[];
  }[];
  readonly adamws: readonly {
    readonly betas: readonly [number, number];
    readonly weightDecay: number;
    readonly lr: number;
    readonly start: readonly number[];
    readonly steps: readonly { gradient: readonly number[]; parameters: readonly number[] }[];
  }[];
  readonly clips: readonly {
    readonly gradient: readonly number[];
    readonly limit: number;
    readonly norm: number;
    readonly clipped: readonly number[];
  }[];
  readonly divisions: readonly {
    readonly lengths: readonly number[];
    readonly k: number;
    readonly equal: boolean;
    readonly sets: readonly (readonly number[])[];
    readonly metrics: Readonly<Record<string, number>>;
  }[];
  readonly dynamic: readonly {
    readonly lengths: readonly number[];
    readonly budget: number;
    readonly sets: readonly (readonly number[])[];
  }[];
}

const golden = goldenJson('algorithms/cases.json') as Golden;
/** Tolerance that the project promises; of numbers above 1 it is a share of them. */
const bound = { rtol: 1e-6, atol: 1e-6 };

/** Zeroes the tokens that do not count: the reference has numbers there that nobody reads, the golden vectors zeros. */
function masked(values: Float32Array, { mask }: { readonly mask: Uint8Array }): Float32Array {
  return values.map((value, t) => (mask[t] === 1 ? value : 0));
}

describe('the algorithms against golden vectors', () => {
  for (const [i, one] of golden.advantages.entries()) {
    it(`estimate advantages by ${one.name}, ${one.kind} (${i})`, () => {
      const rows = rowsOf(one.mask);
      const { advantages, returns } = advantageEstimators[one.name].estimate({
        ...rows,
        rewards: flat(one.rewards),
        groupIds: one.groups,
        baselines: Float32Array.from(one.baselines),
        values: flat(one.values),
        gamma: one.gamma,
        lambda: one.lambda,
      });
      assertClose(masked(advantages, rows), flat(one.advantages), bound, 'advantages');
      assertClose(masked(returns, rows), flat(one.returns), bound, 'returns');
    });
  }

  for (const { kind, ...one } of golden.kls) {
    it(`estimate KL and its slope by ${kind}`, () => {
      const estimate = estimateKl(
        Float32Array.from(one.logProbs),
        Float32Array.from(one.refLogProbs),
        kind,
      );
      assertClose(estimate.values, one.values, bound, 'values');
      assertClose(estimate.derivatives, one.derivatives, bound, 'derivatives');
    });
  }

  for (const { kind, coef, ...one } of golden.penalties) {
    it(`take KL off the rewards by ${kind}, times ${coef}`, () => {
      const rows = rowsOf(one.mask);
      const tokenScores = tokenLevelScores(Float32Array.from(one.scores), rows);
      assertClose(tokenScores, flat(one.tokenScores), { atol: 0 });
      const { rewards, currentKl } = penalizeRewards(
        { ...rows, tokenScores, oldLogProbs: flat(one.old), refLogProbs: flat(one.ref) },
        { kind, coef },
      );
      assertClose(masked(rewards, rows), flat(one.rewards), bound);
      assertClose([currentKl], [one.currentKl], bound);
    });
  }

  it('steer the adaptive KL coefficient, and leave a fixed one', () => {
    for (const { coef, target, horizon, steps } of golden.controllers) {
      let adaptive: KlController = { kind: 'adaptive', coef, target, horizon };
      const fixed: KlController = { kind: 'fixed', coef };
      for (const step of steps) {
        adaptive = updateKlController(adaptive, step.kl, step.samples);
        assertClose([adaptive.coef], [step.coef], { rtol: 1e-8 });
        assert.deepEqual(updateKlController(fixed, step.kl, step.samples), fixed);
      }
    }
  });

  const assertPolicyLoss = (one: Golden['policyLosses'][number]): void => {
    const { loss, gradient, metrics } = policyLoss(
      {
        ...rowsOf(one.mask),
        logProbs: flat(one.logProbs),
        oldLogProbs: flat(one.oldLogProbs),
        advantages: flat(one.advantages),
        refLogProbs: flat(one.refLogProbs),
      },
      one.options,
    );
    assertClose([loss], [one.loss], bound, 'loss');
    assertClose(gradient, flat(one.gradient), bound, 'gradient');
    assert.deepEqual(Object.keys(metrics).sort(), Object.keys(one.metrics).sort());
    for (const [name, value] of Object.entries(metrics) as [keyof PolicyLossMetrics, number][]) {
      assertClose([value], [one.metrics[name]], bound, name);
    }
  };

  for (const lossType of new Set(golden.policyLosses.map(({ options }) => options.lossType))) {
    for (const lossAvgMode of ['token', 'seq'] as const) {
      it(`have the ${lossType} loss, its gradient and its metrics, averaged by ${lossAvgMode}`, () => {
        const chosen = golden.policyLosses.filter(
          ({ options }) => options.lossType === lossType && options.lossAvgMode === lossAvgMode,
        );
        assert.equal(chosen.length, 4);
        chosen.forEach(assertPolicyLoss);
      });
    }
  }

  it('have the policy loss and its gradient at every bound, in the float32 in which these are met', () => {
    golden.policyBounds.forEach(assertPolicyLoss);
  });

  it('have the value loss, its gradient and its metrics, at the clip range too', () => {
    for (const one of [...golden.valueLosses, ...golden.valueBounds]) {
      const { loss, gradient, metrics } = valueLoss(
        {
          ...rowsOf(one.mask),
          values: flat(one.values),
          oldValues: flat(one.oldValues),
          returns: flat(one.returns),
        },
        one,
      );
      assertClose([loss, metrics.vf_loss], [one.loss, one.loss], bound, 'loss');
      assertClose(gradient, flat(one.gradient), bound, 'gradient');
      assertClose([metrics.vf_clipfrac, metrics.vpred_mean], [one.clipfrac, one.mean], bound);
    }
  });

  it('average, spread and whiten under a mask', () => {
    for (const one of golden.whitenings) {
      const rows = rowsOf(one.mask);
      const x = flat(one.x);
      const got = [maskedMean(x, rows), maskedVariance(x, rows)];
      assertClose(got, [one.mean, one.variance], bound);
      for (const mode of ['token', 'seq'] as const) {
        assertClose([lossAverage(x, rows, { lossAvgMode: mode })], [one.average[mode]], bound, mode);
      }
      assertClose(masked(maskedWhiten(x, rows), rows), flat(one.whitened), bound);
    }
  });

  it('have the factors of every schedule', () => {
    for (const { kind, factors, ...options } of golden.schedules) {
      const got = factors.map((_, step) => lrFactor(kind, step, options));
      assertClose(got, factors, { atol: 2e-9 }, `${kind} ${JSON.stringify(options)}`);
    }
  });

  it('step by AdamW', async () => {
    using device = openDevice({ threads: 1 });
    for (const { betas, weightDecay, lr, start, steps } of golden.adamws) {
      const parameters = tensorOf('f32', [start.length], start).data;
      const gradients = tensorOf('f32', [start.length], start).data;
      using adamW = adamWOver(device, { parameters, gradients, betas, weightDecay, eps: 1e-8 });
      for (const [i, step] of steps.entries()) {
        gradients.set(step.gradient);
        await adamW.step(lr, 1);
        assertClose(parameters, step.parameters, bound, `step ${i}`);
      }
    }
  });

  it('clip by the global norm', async () => {
    using device = openDevice({ threads: 1 });
    for (const { gradient, limit, norm, clipped } of golden.clips) {
      const values = Float32Array.from(gradient);
      const got = Math.sqrt(await device.operations.squaredSum(flatView(device, values)));
      assertClose([got], [norm], bound);
      const factor = clipFactor(got, limit);
      assertClose(
        values.map((value) => value * factor),
        clipped,
        bound,
      );
    }
  });

  it('balance samples over learners, and say how even they are', () => {
    // The reference may also divide into sets of one size.
    for (const { lengths, k, sets, metrics } of golden.divisions.filter(({ equal }) => !equal)) {
      const got = balancedSets(lengths, k);
      assert.deepEqual(got, sets, JSON.stringify({ lengths, k }));
      for (const [name, value] of Object.entries(balanceMetrics(lengths, got))) {
        assertClose([value], [metrics[name.replace('global_seqlen/', '')]!], { rtol: 1e-8 }, name);
      }
    }
  });

  it('divide samples by a token budget, the costliest batch first', () => {
    for (const { lengths, budget, sets } of golden.dynamic) {
      assert.deepEqual(dynamicBatches(lengths, dynamicBatchCount(lengths, budget)), sets);
    }
  });
});
