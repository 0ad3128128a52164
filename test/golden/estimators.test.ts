import { advantageEstimators, type AdvantageEstimatorName } from '../../src/algorithms/advantage.ts';
import { tokenRows } from '../../src/algorithms/primitives.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenJson } from '../support/golden.ts';

type Rectangle = readonly (readonly number[])[];

interface Golden {
  readonly advantages: readonly {
    readonly name: AdvantageEstimatorName;
    readonly kind: string;
    readonly groups: readonly string[];
    readonly mask: Rectangle;
    readonly rewards: Rectangle;
    readonly advantages: Rectangle;
  }[];
}

const golden = goldenJson('estimators/cases.json') as Golden;
/** Tolerance that the project promises; of numbers above 1 it is a share of them. */
const bound = { rtol: 1e-6, atol: 1e-6 };

const flat = (rectangle: Rectangle): Float32Array => Float32Array.from(rectangle.flat());

const rowsOf = (mask: Rectangle) =>
  tokenRows(
    mask.map(({ length }) => length),
    Uint8Array.from(mask.flat()),
  );

describe('what verl has and EasyR1 has not', () => {
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
});
