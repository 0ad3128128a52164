import assert from 'node:assert/strict';
import { drawnBetweenBounds, highestCovariances } from '../../../src/algorithms/covariance.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';

/** Tokens whose covariances are 4, 1, 0, 1, 4 and 0; the last one is masked. */
const input = {
  ...tokenRows([3, 4], Uint8Array.of(1, 1, 1, 1, 1, 1, 0)),
  advantages: Float32Array.of(-2, -1, 0, 1, 2, 0, 50),
  logProbs: Float32Array.of(-12, -11, -10, -9, -8, -10, -50),
  differences: new Float32Array(7),
};

const usual = {
  clipRatioLow: 0.2,
  clipRatioHigh: 0.3,
  clipCovRatio: 0.34,
  clipCovLb: 0.5,
  clipCovUb: 3,
  klCovRatio: 0.34,
};
const wide = { ...usual, clipCovUb: 5 };

const placesOf = (chosen: Uint8Array): number[] =>
  [...chosen.keys()].filter((t) => chosen[t] === 1);

describe('drawnBetweenBounds', () => {
  it('draws so many tokens between the bounds, and the same again', () => {
    assert.deepEqual(placesOf(drawnBetweenBounds(input, usual)), [1, 3]);
    const drawn = drawnBetweenBounds(input, wide);
    assert.equal(placesOf(drawn).length, 2);
    assert.ok(placesOf(drawn).every((t) => [0, 1, 3, 4].includes(t)));
    assert.deepEqual(drawnBetweenBounds(input, wide), drawn);
  });

  it('draws each of them for some micro-batch', () => {
    const seen = new Set<number>();
    for (let shift = 0; shift < 20; shift++) {
      const logProbs = input.logProbs.map((x) => x - shift / 8);
      for (const t of placesOf(drawnBetweenBounds({ ...input, logProbs }, wide))) seen.add(t);
    }
    assert.deepEqual([...seen].sort(), [0, 1, 3, 4]);
  });

  it('takes one token at least, and none that the ratio’s clip holds', () => {
    const few = drawnBetweenBounds(input, { ...usual, clipCovRatio: 0 });
    assert.equal(placesOf(few).length, 1);
    const differences = Float32Array.of(0, -1, 0, 1, 0, 0, 0);
    assert.deepEqual(placesOf(drawnBetweenBounds({ ...input, differences }, usual)), []);
  });
});

describe('highestCovariances', () => {
  it('takes the highest, of equal ones the first', () => {
    assert.deepEqual(placesOf(highestCovariances(input, usual)), [0, 4]);
    assert.deepEqual(placesOf(highestCovariances(input, { ...usual, klCovRatio: 0 })), [0]);
    assert.deepEqual(placesOf(highestCovariances(input, { ...usual, klCovRatio: 0.5 })), [0, 1, 4]);
  });
});
