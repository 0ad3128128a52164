import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CxmindError } from '../../../src/errors.ts';
import { scoreWithFaults } from '../../../src/reward/fault-search.ts';
import type { Outcome } from '../../../src/reward/outcome.ts';

const { signal } = new AbortController();

/** A function that fails as a whole when one of `bad` is in its batch, and counts its calls. */
function fragile(
  bad: ReadonlySet<number>,
  errorOf = (one: number): Error => new Error(`cannot do ${one}`),
) {
  const calls: { readonly batch: readonly number[]; readonly limitMs: number }[] = [];
  const score = (batch: readonly number[], limitMs: number): Promise<Outcome[]> => {
    calls.push({ batch, limitMs });
    const found = batch.find((one) => bad.has(one));
    if (found !== undefined) return Promise.reject(errorOf(found));
    // Compares the responses of a call, as a batch function may.
    return Promise.resolve(batch.map((one) => ({ parts: { overall: one, size: batch.length } })));
  };
  return { score, calls };
}

describe('scoreWithFaults', () => {
  it('finds exactly the responses that a function fails over, and scores the others together', async () => {
    const numbers = fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 24 });
    await fc.assert(
      fc.asyncProperty(numbers, fc.func(fc.boolean()), async (batch, isBad) => {
        const bad = new Set(batch.filter((one) => isBad(one)));
        const { score } = fragile(bad);
        const options = { limitMs: 60_000, stopsAtFirst: false, signal };
        const outcomes = await scoreWithFaults(score, batch, options);
        const size = batch.length - bad.size;
        const wanted = batch.map((one) =>
          bad.has(one) ? { problem: `cannot do ${one}` } : { parts: { overall: one, size } },
        );
        assert.deepEqual(outcomes, wanted);
      }),
    );
  });

  it('calls a sound function once', async () => {
    const { score, calls } = fragile(new Set());
    await scoreWithFaults(score, [1, 2, 3], { limitMs: 5, stopsAtFirst: true, signal });
    assert.deepEqual(calls, [{ batch: [1, 2, 3], limitMs: 5 }]);
  });

  const late = (): Error => new CxmindError('ACTOR_TIMEOUT', 'no answer');

  it('gives a part of a late batch its share of the time, and little to find one fault in 64', async () => {
    const { score, calls } = fragile(new Set([40]), late);
    const batch = Array.from({ length: 64 }, (_, i) => i);
    await scoreWithFaults(score, batch, { limitMs: 64_000, stopsAtFirst: false, signal });
    for (const { batch: part, limitMs } of calls.slice(0, -1)) {
      assert.equal(limitMs, part.length * 1000);
    }
    const failing = calls.filter(({ batch: part }) => part.includes(40));
    const worstMs = failing.reduce((sum, { limitMs }) => sum + limitMs, 0);
    assert.ok(worstMs < 2 * 64_000, String(worstMs));
  });

  it('tells of the limit that was set, and of the share of a response that had one', async () => {
    const outcomes = (batch: number[], limitMs: number) =>
      scoreWithFaults(fragile(new Set([1]), late).score, batch, {
        limitMs,
        stopsAtFirst: true,
        signal,
      });
    const whole = 'took longer than 4 s (worker.reward.timeout_seconds)';
    const share = `the call with it ${whole}, and it alone longer than its share of 1 s`;
    assert.deepEqual((await outcomes([1], 4000))[0], { problem: whole });
    assert.deepEqual((await outcomes([1, 2, 3, 4, 5, 6, 7, 8], 4000))[0], { problem: share });
  });

  it('leaves parts the whole time where it was not time that ran out', async () => {
    const { score, calls } = fragile(new Set([2]));
    await scoreWithFaults(score, [0, 1, 2, 3], { limitMs: 4000, stopsAtFirst: false, signal });
    assert.ok(calls.every(({ limitMs }) => limitMs === 4000));
  });

  it('blames a wrong number of scores on the call, unless every other response is to be saved', async () => {
    const misfit = (): Error => new CxmindError('SHAPE_MISMATCH', 'expected 3, got 2');
    const { score } = fragile(new Set([1]), misfit);
    const options = { limitMs: 5, signal };
    await assert.rejects(scoreWithFaults(score, [0, 1, 2], { ...options, stopsAtFirst: true }), {
      message: 'expected 3, got 2',
    });
    const outcomes = await scoreWithFaults(score, [0, 1, 2], { ...options, stopsAtFirst: false });
    assert.deepEqual(outcomes, [
      { parts: { overall: 0, size: 2 } },
      { problem: 'expected 3, got 2' },
      { parts: { overall: 2, size: 2 } },
    ]);
  });

  it('stops at the first fault where one is enough', async () => {
    const { score, calls } = fragile(new Set([0, 5]));
    const options = { limitMs: 5, stopsAtFirst: true, signal };
    const outcomes = await scoreWithFaults(score, [0, 1, 2, 3, 4, 5], options);
    assert.deepEqual(outcomes[0], { problem: 'cannot do 0' });
    assert.deepEqual(outcomes.slice(1), [undefined, undefined, undefined, undefined, undefined]);
    assert.deepEqual(
      calls.map(({ batch }) => batch.length),
      [6, 3, 1],
    );
  });

  it('ends with the signal instead of blaming a response', async () => {
    const abort = new AbortController();
    const score = (): Promise<Outcome[]> => {
      abort.abort();
      return Promise.reject(new Error('aborted'));
    };
    const options = { limitMs: 5, stopsAtFirst: false, signal: abort.signal };
    await assert.rejects(scoreWithFaults(score, [1, 2], options), /aborted/);
  });
});
