import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sampleToken } from '../../../../src/generation/cpu/sampler.ts';
import type { Sampling } from '../../../../src/generation/sampler.ts';
import { keyOf, Rng } from '../../../../src/rng.ts';

const plain: Sampling = { temperature: 1, topP: 1, topK: -1 };

function softmax(logits: readonly number[]): Float32Array {
  const peak = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const weights = logits.map((logit) => Math.exp(logit - peak));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(weights, (weight) => weight / total);
}

/** The definition: sort everything, keep k, then the shortest prefix with the share p of what is left. */
function keptByDefinition(probabilities: Float32Array, { topK, topP }: Sampling): Set<number> {
  const order = [...probabilities.keys()].sort(
    (a, b) => probabilities[b]! - probabilities[a]! || a - b,
  );
  const best = topK > 0 ? order.slice(0, topK) : order;
  const mass = best.reduce((sum, token) => sum + probabilities[token]!, 0);
  const kept = new Set<number>();
  let cumulative = 0;
  for (const token of best) {
    if (kept.size > 0 && topP < 1 && cumulative >= topP * mass) break;
    kept.add(token);
    cumulative += probabilities[token]!;
  }
  return kept;
}

/** Pearson's statistic of `draws` draws against the renormalised probabilities of the kept tokens. */
function chiSquare(probabilities: Float32Array, sampling: Sampling, draws: number): number {
  const kept = [...keptByDefinition(probabilities, sampling)];
  const mass = kept.reduce((sum, token) => sum + probabilities[token]!, 0);
  const counts = new Map<number, number>(kept.map((token) => [token, 0]));
  const rng = new Rng(keyOf('chi-square', sampling.topK, sampling.topP * 100));
  for (let i = 0; i < draws; i++) {
    const { token } = sampleToken(probabilities, sampling, rng.nextUniform());
    assert.ok(counts.has(token), `token ${token} should not be kept`);
    counts.set(token, counts.get(token)! + 1);
  }
  return kept.reduce((sum, token) => {
    const expected = (draws * probabilities[token]!) / mass;
    return sum + (counts.get(token)! - expected) ** 2 / expected;
  }, 0);
}

describe('sampleToken', () => {
  const probabilities = Float32Array.of(0.05, 0.3, 0.02, 0.2, 0.1, 0.08, 0.2, 0.05);

  // The 99.9 % points of chi-square with (kept tokens - 1) degrees of freedom.
  for (const { sampling, bound } of [
    { sampling: plain, bound: 24.32 }, // 8 kept
    { sampling: { temperature: 1, topP: 1, topK: 3 }, bound: 13.82 }, // 0.3, 0.2, 0.2
    { sampling: { temperature: 1, topP: 0.75, topK: -1 }, bound: 16.27 }, // and 0.1
    { sampling: { temperature: 1, topP: 0.6, topK: 4 }, bound: 13.82 }, // 0.6 of 0.8: 3 of those
  ]) {
    const { topK, topP } = sampling;
    it(`draws in proportion to what top-k ${topK} and top-p ${topP} keep`, () => {
      const statistic = chiSquare(probabilities, sampling, 20_000);
      assert.ok(statistic < bound, `chi-square ${statistic}, 99.9 % point ${bound}`);
    });
  }

  it('keeps exactly the tokens that sorting the whole vocabulary would', () => {
    const logit = fc.oneof(
      fc.integer({ min: -3, max: 3 }),
      fc.double({ min: -9, max: 4, noNaN: true }),
    );
    fc.assert(
      fc.property(
        fc.array(logit, { minLength: 1, maxLength: 60 }),
        fc.constantFrom(-1, 1, 2, 7, 100),
        fc.constantFrom(0, 0.1, 0.5, 0.9, 0.999, 1),
        fc.integer(),
        (logits, topK, topP, seed) => {
          const distribution = softmax(logits);
          const sampling = { temperature: 1, topK, topP };
          const kept = keptByDefinition(distribution, sampling);
          const rng = new Rng(keyOf('kept', seed));
          const drawn = new Set<number>();
          for (let i = 0; i < 40; i++)
            drawn.add(sampleToken(distribution, sampling, rng.nextUniform()).token);
          for (const token of drawn)
            assert.ok(kept.has(token), `${token} drawn, kept ${[...kept].join()}`);
          if (kept.size === 1) assert.deepEqual(drawn, kept);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps the lower id of equals', () => {
    const even = new Float32Array(10).fill(0.1);
    const rng = new Rng(keyOf('equals'));
    const drawn = new Set<number>();
    for (let i = 0; i < 200; i++) {
      drawn.add(sampleToken(even, { temperature: 1, topP: 1, topK: 4 }, rng.nextUniform()).token);
    }
    assert.deepEqual([...drawn].sort(), [0, 1, 2, 3]);
  });

  it('takes the most likely token at temperature 0, the first of equals', () => {
    const { token } = sampleToken(
      Float32Array.of(0.1, 0.4, 0.4, 0.1),
      { ...plain, temperature: 0 },
      0.99,
    );
    assert.equal(token, 1);
  });

  it('gives the log-probability under the whole distribution, not under the kept part', () => {
    const rng = new Rng(keyOf('log-prob'));
    for (const sampling of [plain, { temperature: 1, topP: 0.5, topK: 2 }]) {
      for (let i = 0; i < 20; i++) {
        const { token, logProb } = sampleToken(probabilities, sampling, rng.nextUniform());
        assert.equal(logProb, Math.log(probabilities[token]!));
      }
    }
  });

  it('draws the same tokens from the same key', () => {
    const draw = (key: number): number[] => {
      const rng = new Rng(keyOf('key', key));
      return Array.from(
        { length: 50 },
        () => sampleToken(probabilities, plain, rng.nextUniform()).token,
      );
    };
    assert.deepEqual(draw(1), draw(1));
    assert.notDeepEqual(draw(1), draw(2));
  });

  it('never draws a token of probability 0', () => {
    const rng = new Rng(keyOf('zero'));
    const gaps = Float32Array.of(0, 0.5, 0, 0.5, 0);
    for (const sampling of [plain, { temperature: 1, topP: 0.99, topK: 5 }]) {
      for (let i = 0; i < 200; i++) {
        assert.ok([1, 3].includes(sampleToken(gaps, sampling, rng.nextUniform()).token));
      }
    }
  });

  it('refuses probabilities that are not numbers', () => {
    for (const sampling of [
      plain,
      { ...plain, temperature: 0 },
      { temperature: 1, topP: 0.9, topK: 3 },
    ]) {
      const broken = new Float32Array(4).fill(NaN);
      assert.throws(() => sampleToken(broken, sampling, 0.5), {
        code: 'NUMERIC_NONFINITE',
      });
    }
  });

  it('draws from a nucleus of a real vocabulary without sorting it', () => {
    const rng = new Rng(keyOf('vocabulary'));
    const large = softmax(Array.from({ length: 60_000 }, () => 3 * rng.nextNormal()));
    const sampling = { temperature: 1, topP: 0.9, topK: -1 };
    const kept = keptByDefinition(large, sampling);
    const started = performance.now();
    for (let i = 0; i < 20; i++)
      assert.ok(kept.has(sampleToken(large, sampling, rng.nextUniform()).token));
    const each = (performance.now() - started) / 20;
    // About 1 ms; sorting by comparison takes 80 ms. The bound leaves room for a busy machine.
    assert.ok(each < 25, `${each} ms a draw`);
  });
});
