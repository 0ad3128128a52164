import {
  advantageEstimators,
  type AdvantageEstimatorName,
} from '../../src/algorithms/advantage.ts';
import { policyLoss, type PolicyLossOptions } from '../../src/algorithms/policy-loss.ts';
import { policyLosses } from '../../src/algorithms/policy-losses.ts';
import { mixWeights } from '../../src/algorithms/reference-mix.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { correctMismatch } from '../../src/training/correction.ts';
import { concatenate } from '../../src/training/experience.ts';
import { assertClose } from '../support/assert-close.ts';
import { usualLoss } from '../support/usual-loss.ts';
import { goldenJson } from '../support/golden.ts';
import { flat, rowsOf, type Rectangle } from '../support/golden-rows.ts';

interface LossCase {
  readonly options: Partial<PolicyLossOptions>;
  readonly kind: string;
  readonly mask: Rectangle;
  readonly oldLogProbs: Rectangle;
  readonly logProbs: Rectangle;
  readonly advantages: Rectangle;
  readonly loss: number;
  readonly gradient: Rectangle;
  readonly metrics: Readonly<Record<string, number>>;
}

interface Golden {
  readonly advantages: readonly {
    readonly name: AdvantageEstimatorName;
    readonly kind: string;
    readonly groups: readonly string[];
    readonly mask: Rectangle;
    readonly rewards: Rectangle;
    readonly advantages: Rectangle;
  }[];
  readonly losses: readonly LossCase[];
  readonly corrected: readonly (LossCase & { readonly rolloutLogProbs: Rectangle })[];
  readonly mixes: readonly {
    readonly alpha: number;
    readonly reference: readonly number[];
    readonly policy: readonly number[];
    readonly mixed: readonly number[];
  }[];
}

const golden = goldenJson('estimators/cases.json') as Golden;
/** Tolerance that the project promises; of numbers above 1 it is a share of them. */
const bound = { rtol: 1e-6, atol: 1e-6 };

describe('what verl and TRL have and EasyR1 has not', () => {
  for (const [i, { name, kind, ...one }] of golden.advantages.entries()) {
    it(`advantages by ${name}, ${kind} (${i})`, () => {
      const { advantages, returns } = advantageEstimators[name].estimate({
        ...rowsOf(one.mask),
        rewards: flat(one.rewards),
        groupIds: one.groups,
        gamma: 1,
        lambda: 1,
      });
      assertClose(advantages, flat(one.advantages), bound, 'advantages');
      assertClose(returns, flat(one.advantages), bound, 'returns');
    });
  }

  for (const [i, { options, kind, ...one }] of golden.losses.entries()) {
    it(`the ${options.lossType} loss, its gradient and its metrics, ${kind} (${i})`, () => {
      const input = {
        ...rowsOf(one.mask),
        logProbs: flat(one.logProbs),
        oldLogProbs: flat(one.oldLogProbs),
        advantages: flat(one.advantages),
      };
      const { loss, gradient, metrics } = policyLoss(input, { ...usualLoss, ...options });
      assertClose([loss], [one.loss], bound, 'loss');
      assertClose(gradient, flat(one.gradient), bound, 'gradient');
      for (const [name, value] of Object.entries(one.metrics)) {
        assertClose([metrics[name as keyof typeof metrics]!], [value], bound, name);
      }
    });
  }

  for (const [i, { options, ...one }] of golden.corrected.entries()) {
    it(`the vespo loss over rollouts whose weights are part of its ratio (${i})`, () => {
      const rows = rowsOf(one.mask);
      const tensors = (rectangle: Rectangle) =>
        rectangle.map((row) => tensorOf('f32', [row.length], row));
      const { oldLogProbs, advantages } = correctMismatch(
        {
          weightsMultiply: policyLosses.vespo.weightsMultiply,
          rolloutIs: 'token',
          rolloutIsThreshold: 2,
          rolloutIsBatchNormalize: false,
          rolloutRs: [],
        },
        {
          tokens: rows,
          rolloutLogProbs: tensors(one.rolloutLogProbs),
          oldLogProbs: tensors(one.oldLogProbs),
          advantages: flat(one.advantages),
        },
      );
      const input = {
        ...rows,
        logProbs: flat(one.logProbs),
        oldLogProbs: concatenate(oldLogProbs),
        advantages,
      };
      const { loss, gradient, metrics } = policyLoss(input, { ...usualLoss, ...options });
      assertClose([loss], [one.loss], bound, 'loss');
      assertClose(gradient, flat(one.gradient), bound, 'gradient');
      assertClose([metrics.phi_seq_mean!], [one.metrics['phi_seq_mean']!], bound, 'phi');
    });
  }

  it('a reference that moves towards the policy', () => {
    for (const { alpha, reference, policy, mixed } of golden.mixes) {
      const weights = Float32Array.from(reference);
      mixWeights(weights, Float32Array.from(policy), alpha);
      assertClose(weights, mixed, { rtol: 1.2e-7, atol: 6e-8 }, `alpha ${alpha}`);
    }
  });
});
