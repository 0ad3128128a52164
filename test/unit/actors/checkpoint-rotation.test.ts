import assert from 'node:assert/strict';
import fc from 'fast-check';
import { obsoleteSteps } from '../../../actors/run-folder/checkpoints.ts';

describe('obsoleteSteps', () => {
  const saved = [5, 10, 15, 20, 25];

  it('keeps the best and the newest of the specification’s example', () => {
    assert.deepEqual(obsoleteSteps(saved, 30, 10, 3), [20, 15, 5]);
  });

  it('keeps the best in addition to the new one with a limit of 1', () => {
    assert.deepEqual(obsoleteSteps(saved, 30, 10, 1), [25, 20, 15, 5]);
  });

  it('gives the best no slot when it is the new step or gone', () => {
    assert.deepEqual(obsoleteSteps(saved, 30, 30, 3), [15, 10, 5]);
    assert.deepEqual(obsoleteSteps(saved, 30, 7, 3), [15, 10, 5]);
  });

  it('keeps all with a limit of 0 or less, and never looks at later steps', () => {
    assert.deepEqual(obsoleteSteps(saved, 30, 10, 0), []);
    assert.deepEqual(obsoleteSteps(saved, 30, 10, -1), []);
    assert.deepEqual(obsoleteSteps([...saved, 40, NaN], 20, 20, 1), [15, 10, 5]);
  });

  it('leaves as many as the limit says, the best among them', () => {
    const steps = fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { minLength: 1 });
    const limits = fc.integer({ min: 1, max: 6 });
    fc.assert(
      fc.property(steps, limits, fc.nat(), (older, limit, pick) => {
        const best = older[pick % older.length]!;
        const gone = new Set(obsoleteSteps(older, 100, best, limit));
        const left = older.filter((step) => !gone.has(step));
        assert.ok(left.includes(best));
        assert.equal(left.length, Math.min(older.length, Math.max(1, limit - 1)));
      }),
    );
  });
});
