import assert from 'node:assert/strict';
import { rejectionsOf } from '../../src/algorithms/rejection.ts';
import { correctRollouts, type ImportanceLevel } from '../../src/algorithms/rollout-correction.ts';
import { assertClose } from '../support/assert-close.ts';
import { flat, rowsOf, type Rectangle } from '../support/golden-rows.ts';
import { goldenJson } from '../support/golden.ts';

interface Case {
  readonly options: {
    readonly rollout_is?: ImportanceLevel | null;
    readonly rollout_is_threshold?: number;
    readonly rollout_is_batch_normalize?: boolean;
    readonly rollout_rs?: string;
    readonly rollout_rs_threshold?: string | number;
  };
  readonly weights: Rectangle | null;
  readonly kept: Rectangle;
  readonly metrics: Readonly<Record<string, number>>;
}

interface Batch {
  readonly old: Rectangle;
  readonly rollout: Rectangle;
  readonly mask: Rectangle;
  readonly cases: readonly Case[];
}

const tolerance = { rtol: 1e-6, atol: 1e-6 };

describe('correctRollouts', () => {
  const batches = goldenJson('rollout-correction/cases.json') as readonly Batch[];
  for (const [i, { old, rollout, mask, cases }] of batches.entries()) {
    const input = {
      ...rowsOf(mask),
      oldLogProbs: flat(old),
      rolloutLogProbs: flat(rollout),
    };
    for (const { options, ...golden } of cases) {
      it(`weighs, rejects and measures batch ${i} as verl does with ${JSON.stringify(options)}`, () => {
        const { weights, mask: kept, metrics } = correctRollouts(input, {
          rolloutIs: options.rollout_is ?? null,
          rolloutIsThreshold: options.rollout_is_threshold ?? 2,
          rolloutIsBatchNormalize: options.rollout_is_batch_normalize ?? false,
          rolloutRs: rejectionsOf(options.rollout_rs ?? null, options.rollout_rs_threshold ?? null),
        });
        if (golden.weights === null) assert.equal(weights, null);
        else assertClose(weights!, flat(golden.weights), tolerance);
        assert.deepEqual([...(kept ?? input.mask)], golden.kept.flat());
        for (const [name, value] of Object.entries(metrics)) {
          if (!(name in golden.metrics)) continue;
          // A variance is a difference of two numbers near 1, so its root has lost more digits than itself.
          const power = name === 'rollout_is_std' ? 2 : 1;
          assertClose([value ** power], [golden.metrics[name]! ** power], tolerance, name);
        }
        const missing = Object.keys(golden.metrics).filter((name) => !(name in metrics));
        const left = /^rollout_rs_.*_(std|fraction_\w+|seq_\w+)$/;
        assert.deepEqual(missing.filter((name) => !left.test(name)), []);
      });
    }
  }
});
