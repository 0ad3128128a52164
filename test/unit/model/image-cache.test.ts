import assert from 'node:assert/strict';
import { ImageCache } from '../../../src/model/vision/image-cache.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';

describe('ImageCache', () => {
  const image = (value: number) => tensorOf('f32', [1, 2], [value, 1]);
  const grid = [1, 2, 2] as const;
  const numbers = async (parts: Promise<readonly Tensor[]>) =>
    (await parts).flatMap(({ data }) => [...(data as Float32Array)]);

  it('computes an image once, however often it is asked for, and whatever memory it lies in', async () => {
    const cache = new ImageCache();
    let calls = 0;
    const embed = () => (calls++, Promise.resolve([tensorOf('f32', [1, 1], [calls])]));
    for (let i = 0; i < 3; i++)
      assert.deepEqual(await numbers(cache.rowsOf(image(1), grid, embed)), [1]);
    assert.deepEqual(await numbers(cache.rowsOf(image(2), grid, embed)), [2]);
    // The same patches in another order of rows and columns are another image.
    assert.deepEqual(await numbers(cache.rowsOf(image(1), [1, 1, 4], embed)), [3]);
    assert.equal(calls, 3);
  });

  it('tells levels apart by what they are worth and how many frames they stand for', async () => {
    const cache = new ImageCache();
    const levels = tensorOf('u8', [1, 1, 1, 1], [7]);
    const worth = (value: number) => tensorOf('f32', [1, 256], Array<number>(256).fill(value));
    let calls = 0;
    const embed = () => Promise.resolve([tensorOf('f32', [1, 1], [++calls])]);
    const ask = (value: number, frames: number) =>
      cache.rowsOf({ levels, values: worth(value), frames }, grid, embed);
    for (const [value, frames] of [
      [1, 1],
      [2, 1],
      [1, 2],
      [1, 1],
    ] as const)
      await ask(value, frames);
    assert.equal(calls, 3);
  });

  it('keeps those that were asked for last', async () => {
    const cache = new ImageCache(8);
    const computed: number[] = [];
    const ask = async (value: number): Promise<number> => {
      const parts = [tensorOf('f32', [1, 1], [value])];
      const embed = () => (computed.push(value), Promise.resolve(parts));
      return (await numbers(cache.rowsOf(image(value), grid, embed)))[0]!;
    };
    for (const value of [1, 2, 1, 3, 1, 2]) assert.equal(await ask(value), value);
    assert.deepEqual(computed, [1, 2, 3, 2]);
  });
});
