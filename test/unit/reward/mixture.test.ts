import assert from 'node:assert/strict';
import { mixture, partOf } from '../../../src/reward/mixture.ts';

describe('the reward of several', () => {
  const grade = { overall: 0.9, acc: 1 };
  const form = { overall: -2, length: 7, acc: 0 };

  it('is their weighted sum, and keeps every part under the name of its reward', () => {
    const rewards = [
      { name: 'grade', weight: 1 },
      { name: 'form', weight: 0.25 },
    ];
    assert.deepEqual(mixture(rewards, [grade, form]), {
      overall: 0.9 - 0.5,
      'grade/overall': 0.9,
      'grade/acc': 1,
      'form/overall': -2,
      'form/length': 7,
      'form/acc': 0,
    });
  });

  it('of one without a name is its own score as it is', () => {
    assert.equal(mixture([{ name: null, weight: 1 }], [grade]), grade);
    const named = mixture([{ name: 'a', weight: 2 }], [grade]);
    assert.deepEqual(named, { overall: 1.8, 'a/overall': 0.9, 'a/acc': 1 });
  });

  it('has the parts of the first reward that has them', () => {
    const parts = mixture(
      ['form', 'grade'].map((name) => ({ name, weight: 1 })),
      [{ overall: 1, f1: 0.5 }, grade],
    );
    assert.equal(partOf(parts, ['acc', 'f1']), 1);
    assert.equal(partOf(parts, ['f1']), 0.5);
    assert.equal(partOf(parts, ['overall']), 1.9);
    assert.equal(partOf(grade, ['accuracy']), undefined);
  });
});
