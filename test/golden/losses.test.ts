import {
  advantageEstimators,
  type AdvantageEstimatorName,
  type RewardScale,
} from '../../src/algorithms/advantage.ts';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenJson } from '../support/golden.ts';

interface Golden {
  readonly scales: readonly {
    readonly name: AdvantageEstimatorName;
    readonly scale: RewardScale;
    readonly groups: readonly string[];
    readonly scores: readonly number[];
    readonly advantages: readonly number[];
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
});
