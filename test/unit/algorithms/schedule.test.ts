import assert from 'node:assert/strict';
import { clipFactor } from '../../../src/optim/clip.ts';
import { lrFactor, warmupSteps, type LrScheduleKind } from '../../../src/algorithms/schedule.ts';
import { assertClose } from '../../support/assert-close.ts';

function factors(kind: LrScheduleKind, warmup: number, count: number): number[] {
  return Array.from({ length: count }, (_, step) =>
    lrFactor(kind, step, { warmup, total: 10, minRatio: 0.1 }),
  );
}

describe('lrFactor', () => {
  it('rises over the warm-up and stays, constant', () => {
    assertClose(factors('constant', 3, 5), [0, 1 / 3, 2 / 3, 1, 1], { rtol: 1e-15 });
    assert.deepEqual(factors('constant', 0, 3), [1, 1, 1]);
  });

  it('gives the check values of the cosine, its rise past the end included', () => {
    const expected = [
      0, 0.5, 1, 0.9657457896, 0.8681980515, 0.7222075446, 0.55, 0.3777924554, 0.2318019485,
      0.1342542104, 0.1, 0.1342542104,
    ];
    assertClose(factors('cosine', 2, 12), expected, { atol: 5e-11 });
  });

  it('takes the warm-up in steps, else the whole steps of its ratio', () => {
    assert.equal(warmupSteps(30, { lrWarmupRatio: 0.05 }), 1);
    assert.equal(warmupSteps(30, { lrWarmupRatio: 0.05, lrWarmupSteps: null }), 1);
    assert.equal(warmupSteps(30, { lrWarmupRatio: 0.05, lrWarmupSteps: 7 }), 7);
  });
});

describe('clipFactor', () => {
  it('gives the check value', () => {
    const clipped = [3, 4].map((gradient) => gradient * clipFactor(5, 1));
    assertClose(clipped, [0.5999999, 0.79999983], { atol: 3e-8 });
  });

  it('leaves small gradients alone', () => {
    assert.equal(clipFactor(0.5, 1), 1);
    assert.equal(clipFactor(0, 1), 1);
  });
});
