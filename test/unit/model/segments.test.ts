import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  causalTrees,
  consecutive,
  layoutSegments,
  wholeSegments,
} from '../../../src/model/segments.ts';

describe('layoutSegments', () => {
  const uneven = [[2, 0], [1], [3, 4, 5]];

  it('lays segments of different length in a grid, with -1 as padding', () => {
    const { gridIndex, packedIndex } = layoutSegments(uneven, wholeSegments(uneven));
    assert.deepEqual(gridIndex.shape, [3, 3]);
    assert.deepEqual([...gridIndex.data], [2n, 0n, -1n, 1n, -1n, -1n, 3n, 4n, 5n]);
    assert.deepEqual([...packedIndex.data], [1n, 3n, 0n, 6n, 7n, 8n]);
  });

  it('lets every token see its whole segment and nothing else', () => {
    const segments = [[0, 1], [2]];
    const { bias } = layoutSegments(segments, wholeSegments(segments));
    assert.deepEqual(bias.shape, [2, 1, 2, 2]);
    assert.deepEqual(
      Array.from(bias.data, (value) => value === 0),
      [...[true, true, true, true], ...[true, false, true, false]],
    );
    assert.ok(bias.data.every((value) => value === 0 || value <= -1e9));
  });

  it('lets a token see itself and earlier ones only, when causal', () => {
    const { bias } = layoutSegments(
      [[0, 1, 2], [3]],
      causalTrees([
        { prompt: 2, responses: [1] },
        { prompt: 1, responses: [] },
      ]),
    );
    assert.deepEqual(
      Array.from(bias.data.subarray(0, 9), (value) => Number(value === 0)),
      [...[1, 0, 0], ...[1, 1, 0], ...[1, 1, 1]],
    );
    assert.equal(bias.data[9], 0);
    assert.ok(bias.data[10]! < 0 && bias.data[11]! < 0);
  });

  it('lets a response see its prompt and itself, but no other response', () => {
    const { bias } = layoutSegments(
      [[0, 1, 2, 3]],
      causalTrees([{ prompt: 1, responses: [2, 1] }]),
    );
    assert.deepEqual(
      Array.from(bias.data, (value) => Number(value === 0)),
      [...[1, 0, 0, 0], ...[1, 1, 0, 0], ...[1, 1, 1, 0], ...[1, 0, 0, 1]],
    );
  });

  it('leaves no row of the grid without a visible key, so that no softmax is NaN', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lengths, fc.boolean(), (sizes, causal) => {
        const segments = consecutive(sizes);
        const trees = sizes.map((prompt) => ({ prompt, responses: [] }));
        const visible = causal ? causalTrees(trees) : wholeSegments(segments);
        const { bias, gridIndex, packedIndex } = layoutSegments(segments, visible);
        const span = gridIndex.shape[1]!;
        for (let row = 0; row < sizes.length * span; row++) {
          assert.ok(bias.data.subarray(row * span, (row + 1) * span).includes(0));
        }
        for (const [row, place] of packedIndex.data.entries()) {
          assert.equal(gridIndex.data[Number(place)], BigInt(row));
        }
      }),
    );
  });

  it('numbers consecutive runs', () => {
    assert.deepEqual(consecutive([2, 0, 3]), [[0, 1], [], [2, 3, 4]]);
  });
});
