import assert from 'node:assert/strict';
import {
  hasAdvanced,
  initialAdvanceState,
  observe,
  type AdvanceRule,
} from '../../../src/training/advance.ts';
import { effectOf } from '../../support/effect.ts';

const rule: AdvanceRule = {
  metric: 'reward/accuracy',
  above: 0.7,
  below: null,
  emaAlpha: 0.5,
  minSteps: 0,
};

describe('the rule that ends a stage', () => {
  effectOf('curriculum[].advance.ema_alpha');
  it('follows the running mean, from the first value on', () => {
    const emas = [0.4, 0.8, 0.8, 1].map(
      (
        (state) => (accuracy: number) =>
          (state = observe(state, { 'reward/accuracy': accuracy }, rule)).ema
      )(initialAdvanceState),
    );
    const exact = [0.4, 0.6, 0.7, 0.85];
    emas.forEach((ema, i) => assert.ok(Math.abs(ema! - exact[i]!) < 1e-12));
  });

  effectOf('curriculum[].advance.metric');
  it('leaves the mean alone at steps without the metric', () => {
    assert.deepEqual(observe({ ema: 0.5 }, { 'actor/lr': 1 }, rule), { ema: 0.5 });
    assert.deepEqual(observe({ ema: 0.5 }, { 'reward/accuracy': NaN }, rule), { ema: 0.5 });
  });

  effectOf(
    'curriculum[].advance.above',
    'curriculum[].advance.below',
    'curriculum[].advance.min_steps',
  );
  it('holds at the threshold, from either side, and not before enough steps', () => {
    assert.equal(hasAdvanced({ ema: 0.7 }, 1, rule), true);
    assert.equal(hasAdvanced({ ema: 0.69 }, 1, rule), false);
    assert.equal(hasAdvanced({ ema: 0.7 }, 3, { ...rule, minSteps: 4 }), false);
    assert.equal(hasAdvanced({ ema: 0.7 }, 4, { ...rule, minSteps: 4 }), true);
    const falling = { ...rule, above: null, below: 0.1 };
    assert.equal(hasAdvanced({ ema: 0.1 }, 1, falling), true);
    assert.equal(hasAdvanced({ ema: 0.2 }, 1, falling), false);
    assert.equal(hasAdvanced(initialAdvanceState, 9, falling), false);
  });
});
