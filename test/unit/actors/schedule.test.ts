import assert from 'node:assert/strict';
import { criticRates, policyRate, supervisedRate } from '../../../actors/trainer/schedule.ts';
import { planRun, type StepPlan } from '../../../actors/trainer/plan.ts';
import { effectOf } from '../../support/effect.ts';
import { assertClose } from '../../support/assert-close.ts';
import { decodedConfig } from '../../support/decoded-config.ts';

function planOf(optim: object, trainer: object = {}): StepPlan {
  return planRun(decodedConfig({ worker: { actor: { optim }, critic: { optim } }, trainer })).step;
}

const steps = 10;
const numbers = Array.from({ length: steps }, (_, i) => ({ step: i + 1, steps }));
const policyRates = (plan: StepPlan): number[] => numbers.map((one) => policyRate(plan, one));

describe('learning rates', () => {
  it('move once a training step, from the first of the schedule', () => {
    const optim = { lr: 2, lr_warmup_steps: 4 };
    assertClose(policyRates(planOf(optim)), [0, 0.5, 1, 1.5, 2, 2, 2, 2, 2, 2], { atol: 1e-12 });
    // A share of the steps is truncated to whole ones.
    const ratio = planOf({ lr: 2, lr_warmup_ratio: 0.29 });
    assertClose(policyRates(ratio).slice(0, 4), [0, 1, 2, 2], { atol: 1e-12 });
  });

  it('fall by half a cosine to min_lr_ratio', () => {
    // The check values of the specification: warm-up 2, total 10, floor 0.1.
    const optim = {
      lr: 1,
      lr_scheduler_type: 'cosine',
      lr_warmup_steps: 2,
      min_lr_ratio: 0.1,
    };
    const expected = [0, 0.5, 1, 0.9657457896, 0.8681980515, 0.7222075446, 0.55, 0.3777924554];
    assertClose(policyRates(planOf(optim)).slice(0, 8), expected, { atol: 1e-10 });
  });

  it('of the policy wait where they begin until the critic has warmed up', () => {
    const plan = planOf({ lr: 2, lr_warmup_steps: 4 }, { critic_warmup: 4 });
    assertClose(policyRates(plan).slice(3, 8), [0, 0.5, 1, 1.5, 2], { atol: 1e-12 });
  });

  it('of the critic are logged a step ahead', () => {
    const plan = planOf({ lr: 2, lr_warmup_steps: 2 }, { critic_warmup: 4 });
    assert.deepEqual(criticRates(plan, { step: 1, steps }), { now: 0, next: 1 });
    assert.deepEqual(criticRates(plan, { step: 3, steps }), { now: 2, next: 2 });
  });

  effectOf('sft.lr', 'sft.lr_warmup_steps');
  it('of supervised training rise over its own warm-up, and stay', () => {
    const { sft } = decodedConfig({ sft: { lr: 2, lr_warmup_steps: 4 } });
    const rates = numbers.map((one) => supervisedRate(sft, one));
    assertClose(rates, [0, 0.5, 1, 1.5, 2, 2, 2, 2, 2, 2], { atol: 1e-12 });
  });
});
