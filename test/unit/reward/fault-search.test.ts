import assert from 'node:assert/strict';
import fc from 'fast-check';
import { scoreWithFaults } from '../../../src/reward/fault-search.ts';
import type { Outcome } from '../../../src/reward/outcome.ts';

const { signal } = new AbortController();

/** A function that fails as a whole when one of `bad` is in its batch, and counts its calls. */
function fragile(bad: ReadonlySet<number>) {
  const calls: { readonly batch: readonly number[]; readonly limitMs: number }[] = [];
  const score = (batch: readonly number[], limitMs: number): Promise<Outcome[]> => {
    calls.push({ batch, limitMs });
    const found = batch.find((one) => bad.has(one));
    if (found !== undefined) return Promise.reject(new Error(`cannot do ${found}`));
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

  it('gives a part of a batch its share of the time, and little to find one fault in 64', async () => {
    const { score, calls } = fragile(new Set([40]));
    const batch = Array.from({ length: 64 }, (_, i) => i);
    await scoreWithFaults(score, batch, { limitMs: 64_000, stopsAtFirst: false, signal });
    for (const { batch: part, limitMs } of calls.slice(0, -1)) {
      assert.equal(limitMs, part.length * 1000);
    }
    const failing = calls.filter(({ batch: part }) => part.includes(40));
    const worstMs = failing.reduce((sum, { limitMs }) => sum + limitMs, 0);
    assert.ok(worstMs < 2 * 64_000, String(worstMs));
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
