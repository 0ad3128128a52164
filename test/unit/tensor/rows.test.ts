import assert from 'node:assert/strict';
import { addRows, gatherRows, placeRows } from '../../../src/tensor/rows.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';

const source = tensorOf('f32', [3, 2], [1, 2, 3, 4, 5, 6]);

describe('rows', () => {
  it('gathers rows by index, repeats included', () => {
    const target = zeros('f32', [4, 2]);
    gatherRows(source, [2, 0, 2, 1], target);
    assert.deepEqual([...target.data], [5, 6, 1, 2, 5, 6, 3, 4]);
  });

  it('gathers into the first rows of a larger target', () => {
    const target = zeros('f32', [3, 2]);
    gatherRows(source, [1], target);
    assert.deepEqual([...target.data], [3, 4, 0, 0, 0, 0]);
  });

  it('places rows at their index and leaves the others', () => {
    const target = tensorOf('f32', [4, 2], new Float32Array(8).fill(9));
    placeRows(source, [3, 0, 2], target);
    assert.deepEqual([...target.data], [3, 4, 9, 9, 5, 6, 1, 2]);
  });

  it('adds rows at their index, as often as it occurs', () => {
    const target = tensorOf('f32', [2, 2], [10, 20, 30, 40]);
    addRows(source, [1, 1, 0], target);
    assert.deepEqual([...target.data], [15, 26, 34, 46]);
  });

  it('takes a placing back by gathering', () => {
    const placed = zeros('f32', [5, 2]);
    const again = zeros('f32', [3, 2]);
    placeRows(source, [4, 1, 3], placed);
    gatherRows(placed, [4, 1, 3], again);
    assert.deepEqual(again.data, source.data);
  });

  it('does nothing for no index', () => {
    const target = zeros('f32', [2, 2]);
    addRows(zeros('f32', [0, 2]), [], target);
    placeRows(zeros('f32', [0, 2]), [], target);
    gatherRows(source, [], target);
    assert.deepEqual([...target.data], [0, 0, 0, 0]);
  });
});
