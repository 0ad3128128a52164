import assert from 'node:assert/strict';
import { learnerSettings } from '../../actors/trainer/settings.ts';
import {
  advantageEstimators,
  type AdvantageEstimatorName,
  type RewardScale,
} from '../../src/algorithms/advantage.ts';
import { atHighEntropy, entropyThreshold } from '../../src/algorithms/entropy.ts';
import {
  lossAverage,
  lossAverageWeights,
  type LossAverageMode,
} from '../../src/algorithms/loss-average.ts';
import { policyLoss } from '../../src/algorithms/policy-loss.ts';
import { configFrom } from '../../src/config/load.ts';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import { differentiate } from '../../src/graph/backward.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import { interpret } from '../../src/graph/interpret.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenJson } from '../support/golden.ts';
import { flat, rowsOf, type Rectangle } from '../support/golden-rows.ts';

interface Golden {
  readonly scales: readonly {
    readonly name: AdvantageEstimatorName;
    readonly scale: RewardScale;
    readonly groups: readonly string[];
    readonly scores: readonly number[];
    readonly advantages: readonly number[];
  }[];
  readonly averages: readonly {
    readonly mode: LossAverageMode;
    readonly factor: number;
    readonly mask: Rectangle;
    readonly values: Rectangle;
    readonly average: number;
    readonly weights: Rectangle;
  }[];
  readonly covarianceLosses: readonly {
    readonly lossType: 'clip_cov' | 'kl_cov';
    readonly options: Readonly<Record<string, number>>;
    readonly mask: Rectangle;
    readonly oldLogProbs: Rectangle;
    readonly logProbs: Rectangle;
    readonly advantages: Rectangle;
    readonly loss: number;
    readonly gradient: Rectangle;
    readonly metrics: Readonly<Record<string, number>>;
  }[];
  readonly highEntropies: readonly {
    readonly quantile: number;
    readonly mask: Rectangle;
    readonly entropies: Rectangle;
    readonly kept: Rectangle;
  }[];
  readonly entropies: readonly {
    readonly logits: Rectangle;
    readonly factors: readonly number[];
    readonly entropies: readonly number[];
    readonly gradient: Rectangle;
  }[];
}

const golden = goldenJson('losses/cases.json') as Golden;
const bound = { rtol: 1e-6, atol: 1e-6 };

describe('the losses of verl and TRL', () => {
  for (const [i, { name, scale, groups, scores, advantages }] of golden.scales.entries()) {
    it(`${name} divides by the deviation of ${scale} (${i})`, () => {
      const result = advantageEstimators[name].estimate({
        ...tokenRows(groups.map(() => 1)),
        rewards: Float32Array.from(scores),
        groupIds: groups,
        gamma: 1,
        lambda: 1,
        scaleRewards: scale,
      });
      assertClose(result.advantages, advantages, bound);
    });
  }

  for (const [i, { mode, factor, mask, values, ...whole }] of golden.averages.entries()) {
    it(`average by ${mode} (${i})`, () => {
      const options = { lossAvgMode: mode, lossScaleFactor: factor };
      const rows = rowsOf(mask);
      assertClose([lossAverage(flat(values), rows, options)], [whole.average], bound);
      assertClose(lossAverageWeights(rows, options), flat(whole.weights), bound);
    });
  }

  for (const [i, { lossType, options, mask, ...one }] of golden.covarianceLosses.entries()) {
    it(`the ${lossType} loss with ${JSON.stringify(options)} (${i})`, async () => {
      const items = Object.entries({ loss_type: lossType, ...options }).map(
        ([key, value]) => `worker.actor.${key}=${value}`,
      );
      const { config } = await configFrom(items, { purpose: null });
      const input = {
        ...rowsOf(mask),
        logProbs: flat(one.logProbs),
        oldLogProbs: flat(one.oldLogProbs),
        advantages: flat(one.advantages),
      };
      const { loss, gradient, metrics } = policyLoss(input, learnerSettings(config).loss);
      assertClose([loss], [one.loss], bound, 'loss');
      assertClose(gradient, flat(one.gradient), bound, 'gradient');
      const left = one.metrics['actor/pg_clipfrac'];
      if (left !== undefined) assertClose([metrics.pg_clipfrac!], [left], bound, 'pg_clipfrac');
    });
  }

  for (const { quantile, mask, entropies, kept } of golden.highEntropies) {
    it(`the tokens of highest entropy, ${quantile} of ${mask.flat().length} places`, () => {
      const rows = rowsOf(mask);
      const threshold = entropyThreshold(flat(entropies), rows, quantile);
      const ones = new Float32Array(mask.flat().length).fill(1);
      const left = atHighEntropy(ones, flat(entropies), rows, threshold);
      assert.deepEqual([...left], kept.flat());
    });
  }

  for (const { logits, factors, ...one } of golden.entropies) {
    const shape = [logits.length, logits[0]!.length] as const;
    it(`entropies of ${shape.join(' x ')} logits, and their gradient`, () => {
      const g = new GraphBuilder('entropies');
      const rows = g.input('logits', 'f32', ['R', shape[1]]);
      g.output('entropies', g.tokenEntropies(rows, { gradient: 'f32', banned: [] }));
      const inputs = { logits: tensorOf('f32', shape, logits.flat()) };
      const { forward, backward } = differentiate(g.build(), { wrt: ['logits'], save: 'costly' });
      const { entropies, ...saved } = interpret(forward, inputs);
      const factor = tensorOf('f32', [shape[0]], factors);
      const given = { ...inputs, ...saved, entropies: entropies!, 'grad.entropies': factor };
      const gradients = interpret(backward, given);
      assertClose(entropies!.data as Float32Array, one.entropies, bound);
      assertClose(gradients['grad.logits']!.data as Float32Array, one.gradient.flat(), bound);
    });
  }
});
