import assert from 'node:assert/strict';
import { entropyWeight } from '../../../src/algorithms/entropy.ts';

describe('entropyWeight', () => {
  const control = { target: 1, delta: 0.25, min: 0, max: 0.5 };

  it('leaves a fixed weight as it is', () => {
    assert.deepEqual(entropyWeight(0.1, 3, null), { applied: 0.1, next: 0.1 });
  });

  it('rises below the target and falls above it, where it does not apply', () => {
    let coeff = 0;
    const steps = [0.5, 0.5, 0.5, 1.5, 0.5, 1, 2, 2, 2].map((entropy) => {
      const { applied, next } = entropyWeight(coeff, entropy, control);
      coeff = next;
      return [applied, next];
    });
    assert.deepEqual(steps, [
      [0, 0.25],
      [0.25, 0.5],
      [0.5, 0.5],
      [0, 0.25],
      [0.25, 0.5],
      [0.5, 0.5],
      [0, 0.25],
      [0, 0],
      [0, 0],
    ]);
  });
});
