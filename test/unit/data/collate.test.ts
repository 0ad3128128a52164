import assert from 'node:assert/strict';
import { packSamples, type ResponseSample } from '../../../src/data/collate.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';

const image: ResponseSample = {
  prompt: {
    tokenIds: Int32Array.of(1, 100, 2),
    positions: tensorOf('i32', [3, 3], [0, 1, 4, 0, 2, 4, 0, 3, 4]),
    pixelValues: tensorOf('f32', [2, 2], [1, 2, 3, 4]),
    grids: [[1, 1, 2]],
  },
  responseIds: [7, 8],
};
const text: ResponseSample = {
  prompt: {
    tokenIds: Int32Array.of(5),
    positions: tensorOf('i32', [3, 1], [0, 0, 0]),
    pixelValues: null,
    grids: [],
  },
  responseIds: Int32Array.of(9),
};

describe('packSamples', () => {
  it('lays samples in a row, responses going on from the last position', () => {
    const packed = packSamples([image, text, image]);
    assert.deepEqual([...packed.tokenIds], [1, 100, 2, 7, 8, 5, 9, 1, 100, 2, 7, 8]);
    assert.deepEqual(packed.lengths, [5, 2, 5]);
    assert.deepEqual(packed.positions.shape, [3, 12]);
    // prettier-ignore
    assert.deepEqual([...packed.positions.data], [
      0, 1, 4, 5, 6, 0, 1, 0, 1, 4, 5, 6,
      0, 2, 4, 5, 6, 0, 1, 0, 2, 4, 5, 6,
      0, 3, 4, 5, 6, 0, 1, 0, 3, 4, 5, 6,
    ]);
  });

  it('scores each response token by the row before it', () => {
    const { scoredRows, tokenIds } = packSamples([image, text, image]);
    assert.deepEqual([...scoredRows], [2, 3, 5, 9, 10]);
    assert.deepEqual(
      [...scoredRows].map((row) => tokenIds[row + 1]),
      [7, 8, 9, 7, 8],
    );
  });

  it('puts pixels one below the other, and shares them when there is one image', () => {
    const packed = packSamples([image, text, image]);
    assert.deepEqual([...packed.pixelValues!.data], [1, 2, 3, 4, 1, 2, 3, 4]);
    assert.deepEqual(packed.pixelValues!.shape, [4, 2]);
    assert.deepEqual(packed.grids, [
      [1, 1, 2],
      [1, 1, 2],
    ]);
    assert.equal(packSamples([image, text]).pixelValues, image.prompt.pixelValues);
    assert.equal(packSamples([text]).pixelValues, null);
  });
});
