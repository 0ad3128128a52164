import assert from 'node:assert/strict';
import { ImageCache } from '../../../src/model/image-cache.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';

describe('ImageCache', () => {
  const image = (value: number) => tensorOf('f32', [1, 2], [value, 1]);
  const grid = [1, 2, 2] as const;

  it('computes an image once, however often it is asked for, and whatever memory it lies in', () => {
    const cache = new ImageCache();
    let calls = 0;
    const embed = () => (calls++, tensorOf('f32', [1, 1], [calls]));
    for (let i = 0; i < 3; i++) assert.deepEqual([...cache.embeddings(image(1), grid, embed)], [1]);
    assert.deepEqual([...cache.embeddings(image(2), grid, embed)], [2]);
    // The same patches in another order of rows and columns are another image.
    assert.deepEqual([...cache.embeddings(image(1), [1, 1, 4], embed)], [3]);
    assert.equal(calls, 3);
  });

  it('keeps copies, and those that were asked for last', () => {
    const cache = new ImageCache(8);
    const memory = tensorOf('f32', [1, 1], [0]);
    const asked: number[] = [];
    const ask = (value: number): number =>
      cache.embeddings(image(value), grid, () => {
        asked.push(value);
        memory.data[0] = value;
        return memory;
      })[0]!;
    assert.deepEqual([ask(1), ask(2), ask(1), ask(3), ask(1), ask(2)], [1, 2, 1, 3, 1, 2]);
    assert.deepEqual(asked, [1, 2, 3, 2]);
    assert.equal(cache.sizeBytes, 8);
  });
});
