import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  gateStep,
  initialGateState,
  type GateSpec,
  type GateState,
} from '../../../src/reward/gate.ts';
import { assertClose } from '../../support/assert-close.ts';

const spec: GateSpec = {
  rule: 'ema',
  key: 'acc',
  bonus: ['reason', 'process'],
  emaAlpha: 0.2,
  emaMargin: 0,
};

function batchOf(acc: number): Record<string, number>[] {
  return [{ acc, base_reward: 0.1 + 0.9 * acc, reason: 0.25, process: 0.5, overall: 9 }];
}

/** The gate's steps over batches of the given means. */
function walk(means: readonly number[], by: GateSpec = spec): ReturnType<typeof gateStep>[] {
  let state: GateState = initialGateState;
  return means.map((mean) => {
    const step = gateStep(state, batchOf(mean), by);
    state = step.state;
    return step;
  });
}

describe('gateStep', () => {
  it('gives the specification its decisions and running means', () => {
    const steps = walk([0.5, 0.4, 0.6, 0.49]);
    assert.deepEqual(
      steps.map(({ stable }) => stable),
      [true, false, true, false],
    );
    assertClose(
      steps.map(({ state }) => state.ema!),
      [0.5, 0.48, 0.504, 0.5012],
      { atol: 1e-12 },
    );
  });

  it('pays base_reward, and the bonuses only when stable', () => {
    const [first, second] = walk([1, 0]);
    assertClose(first!.overall, [1.75], { atol: 1e-12 });
    assertClose(second!.overall, [0.1], { atol: 1e-12 });
  });

  it('asks a stable batch to beat the running mean by the margin', () => {
    const steps = walk([0.5, 0.55, 0.65], { ...spec, emaMargin: 0.1 });
    assert.deepEqual(
      steps.map(({ stable }) => stable),
      [true, false, true],
    );
  });

  it('counts an empty batch as mean 0', () => {
    const { mean, overall, state } = gateStep({ ema: 0.5 }, [], spec);
    assert.deepEqual({ mean, overall }, { mean: 0, overall: [] });
    assertClose([state.ema!], [0.4], { atol: 1e-12 });
  });

  it('pays every batch under the rule always', () => {
    assert.ok(walk([1, 0, 0.1], { ...spec, rule: 'always' }).every(({ stable }) => stable));
  });

  it('names the part and the response that a score lacks', () => {
    assert.throws(() => gateStep(initialGateState, [batchOf(1)[0]!, { overall: 1 }], spec), {
      code: 'REWARD_INVALID',
      message: /response 1 has no part 'acc'/,
    });
  });

  it('stays stable while the mean stays the same or rises', () => {
    const rising = fc
      .array(fc.double({ min: 0, max: 1, noNaN: true }))
      .map((a) => a.sort((x, y) => x - y));
    fc.assert(
      fc.property(rising, (means) => {
        assert.ok(walk(means).every(({ stable }) => stable));
      }),
    );
    assert.ok(walk(Array.from({ length: 50 }, () => 0.7)).every(({ stable }) => stable));
  });

  it('resumes from its saved state as if it had never stopped', () => {
    const means = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2 });
    fc.assert(
      fc.property(means, fc.nat(), (all, at) => {
        const cut = 1 + (at % (all.length - 1));
        const whole = walk(all);
        let state = JSON.parse(JSON.stringify(whole[cut - 1]!.state)) as GateState;
        for (const [i, mean] of all.slice(cut).entries()) {
          const step = gateStep(state, batchOf(mean), spec);
          assert.deepEqual(step, whole[cut + i]);
          state = step.state;
        }
      }),
    );
  });
});
