import assert from 'node:assert/strict';
import { mersenne } from 'pure-rand/generator/mersenne';
import { PromptSource } from '../../../src/data/prompt-source.ts';
import { EpochOrder, permutation } from '../../../src/data/shuffle.ts';

const options = { rowCount: 10, batchSize: 4, shuffle: true, seed: 1 };

function batchOf(source: PromptSource): Promise<number[]> {
  return source.take((row) => Promise.resolve(row));
}

describe('EpochOrder', () => {
  it('throws away every second permutation, as the specification says', () => {
    const orders = new EpochOrder(10, 1);
    assert.equal(orders.order(0).join(' '), '5 6 1 2 0 8 9 3 7 4');
    assert.equal(orders.order(1).join(' '), '2 8 1 5 6 9 3 7 0 4');
    const generator = mersenne(1);
    permutation(generator, 10);
    assert.equal(permutation(generator, 10).join(' '), '2 3 1 8 9 0 6 7 4 5');
  });

  it('gives any epoch without the ones before, and goes back', () => {
    assert.equal(new EpochOrder(8, 1).order(1).join(' '), '5 6 2 4 1 3 0 7');
    const orders = new EpochOrder(8, 1);
    orders.order(3);
    assert.equal(orders.order(0).join(' '), '5 4 2 6 7 3 1 0');
  });
});

describe('PromptSource', () => {
  it('leaves out an incomplete last batch and begins the next epoch silently', async () => {
    const source = new PromptSource(options);
    assert.deepEqual(await batchOf(source), [5, 6, 1, 2]);
    assert.deepEqual(await batchOf(source), [0, 8, 9, 3]);
    assert.deepEqual(await batchOf(source), [2, 8, 1, 5]);
    assert.deepEqual(source.cursor, { epoch: 1, position: 4 });
  });

  it('keeps the order of the file when it does not shuffle', async () => {
    const source = new PromptSource({ ...options, shuffle: false });
    assert.deepEqual(await batchOf(source), [0, 1, 2, 3]);
    assert.deepEqual(await batchOf(source), [4, 5, 6, 7]);
    assert.deepEqual(await batchOf(source), [0, 1, 2, 3]);
  });

  it('continues from a cursor as if it had never stopped, at the end of an epoch too', async () => {
    for (const consumed of [1, 2, 3]) {
      const whole = new PromptSource(options);
      for (let i = 0; i < consumed; i++) await batchOf(whole);
      const cursor = JSON.parse(JSON.stringify(whole.cursor)) as typeof whole.cursor;
      const resumed = new PromptSource(options, cursor);
      for (let i = 0; i < 5; i++) assert.deepEqual(await batchOf(resumed), await batchOf(whole));
    }
  });

  it('fills a batch past rows that yield nothing', async () => {
    const source = new PromptSource(options);
    const even = (row: number): Promise<number | null> => Promise.resolve(row % 2 ? null : row);
    // Evens of 5 6 1 2 0 8 9 3 7 4, then of 2 8 1 5 6 9 3 7 0 4: the fifth of the first epoch is left out.
    assert.deepEqual(await source.take(even), [6, 2, 0, 8]);
    assert.deepEqual(await source.take(even), [2, 8, 6, 0]);
  });

  it('refuses a data set that cannot fill a batch', async () => {
    assert.throws(() => new PromptSource({ ...options, batchSize: 11 }), {
      code: 'DATA_INVALID',
      message: /10 usable rows, fewer than one batch of 11/,
    });
    const source = new PromptSource(options);
    await assert.rejects(
      source.take((row) => Promise.resolve(row < 3 ? row : null)),
      { code: 'DATA_INVALID', message: /3 usable rows/ },
    );
  });
});
