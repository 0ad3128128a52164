import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  causalTrees,
  consecutive,
  layoutPlaces,
  layoutSegments,
  treeSize,
  wholeSegments,
  type SegmentLayout,
} from '../../../src/model/segments.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';

function onlyBias({ biases }: SegmentLayout): Tensor<'f32'> {
  assert.equal(biases.length, 1);
  return biases[0]!;
}

/** The keys that a line of a bias `[B, 1, C, S]` lets its query see. */
function keysOf({ data, shape }: Tensor<'f32'>, b: number, line: number): number[] {
  const [height, width] = shape.slice(2) as [number, number];
  const start = (b * height + line) * width;
  return [...data.subarray(start, start + width).keys()].filter((key) => data[start + key] === 0);
}

describe('layoutSegments', () => {
  const uneven = [[2, 0], [1], [3, 4, 5]];

  it('lays segments of different length in a grid, with -1 as padding', () => {
    const { gridIndex, packedIndex } = layoutSegments(uneven, wholeSegments(uneven));
    assert.deepEqual(gridIndex.shape, [1, 3, 3]);
    assert.deepEqual([...gridIndex.data], [2n, 0n, -1n, 1n, -1n, -1n, 3n, 4n, 5n]);
    assert.deepEqual([...packedIndex.data], [1n, 3n, 0n, 6n, 7n, 8n]);
  });

  it('lets every token see its whole segment and nothing else', () => {
    const segments = [[0, 1], [2]];
    const bias = onlyBias(layoutSegments(segments, wholeSegments(segments)));
    assert.deepEqual(bias.shape, [2, 1, 2, 2]);
    assert.deepEqual(
      Array.from(bias.data, (value) => value === 0),
      [...[true, true, true, true], ...[true, false, true, false]],
    );
    assert.ok(bias.data.every((value) => value === 0 || value <= -1e9));
  });

  it('lets a token see itself and earlier ones only, when causal', () => {
    const trees = causalTrees([
      { prompt: 2, responses: [1] },
      { prompt: 1, responses: [] },
    ]);
    const bias = onlyBias(layoutSegments([[0, 1, 2], [3]], trees));
    assert.deepEqual(
      Array.from(bias.data.subarray(0, 9), (value) => Number(value === 0)),
      [...[1, 0, 0], ...[1, 1, 0], ...[1, 1, 1]],
    );
    assert.equal(bias.data[9], 0);
    assert.ok(bias.data[10]! < 0 && bias.data[11]! < 0);
  });

  it('lets a response see its prompt and itself, but no other response', () => {
    const trees = causalTrees([{ prompt: 1, responses: [2, 1] }]);
    const bias = onlyBias(layoutSegments([[0, 1, 2, 3]], trees));
    assert.deepEqual(
      Array.from(bias.data, (value) => Number(value === 0)),
      [...[1, 0, 0, 0], ...[1, 1, 0, 0], ...[1, 1, 1, 0], ...[1, 0, 0, 1]],
    );
  });

  it('cuts a causal grid in strips that say of every pair what the whole grid says', () => {
    const trees = fc.array(
      fc.record({
        prompt: fc.integer({ min: 1, max: 6 }),
        responses: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(trees, fc.integer({ min: 2, max: 5 }), (packed, strips) => {
        const segments = consecutive(packed.map(treeSize));
        const whole = layoutSegments(segments, causalTrees(packed));
        const cut = layoutSegments(segments, causalTrees(packed), strips);
        const height = cut.gridIndex.shape[2]!;
        for (const [b, segment] of segments.entries()) {
          for (const [query, row] of segment.entries()) {
            const [strip, line] = [Math.floor(query / height), query % height];
            const at = (strip * segments.length + b) * height + line;
            assert.equal(cut.gridIndex.data[at], BigInt(row));
            assert.equal(cut.packedIndex.data[row], BigInt(at));
            const seen = keysOf(cut.biases[strip]!, b, line);
            assert.deepEqual(seen, keysOf(onlyBias(whole), b, query));
          }
        }
      }),
    );
  });

  it('says as runs of places what the grid says, from both sides', () => {
    const trees = fc.array(
      fc.record({
        prompt: fc.integer({ min: 1, max: 5 }),
        responses: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(trees, fc.boolean(), (packed, causal) => {
        const sizes = packed.map(treeSize);
        // Rows from the last to the first, so that they are not their places.
        const last = sizes.reduce((a, b) => a + b, 0) - 1;
        const segments = consecutive(sizes).map((rows) => rows.map((row) => last - row));
        const visible = causal ? causalTrees(packed) : wholeSegments(segments);
        const bias = onlyBias(layoutSegments(segments, visible));
        const { order, sees, seenBy } = layoutPlaces(segments, visible);
        assert.deepEqual([...order.data], segments.flat());
        const within = (runs: ArrayLike<number>, at: number): boolean =>
          Array.from({ length: runs.length / 2 }, (_, i) => 2 * i).some(
            (i) => runs[i]! <= at && at < runs[i + 1]!,
          );
        let first = 0;
        for (const [b, segment] of segments.entries()) {
          for (const [place, row] of segment.entries()) {
            const seen = keysOf(bias, b, place).map((key) => first + key);
            for (const [at, key] of [...order.data].entries()) {
              assert.equal(within(sees.data.subarray(4 * row, 4 * row + 4), at), seen.includes(at));
              const by = within(seenBy.data.subarray(2 * key, 2 * key + 2), first + place);
              assert.equal(by, seen.includes(at));
            }
          }
          first += segment.length;
        }
      }),
    );
  });

  it('leaves no row of the grid without a visible key, so that no softmax is NaN', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lengths, fc.boolean(), (sizes, causal) => {
        const segments = consecutive(sizes);
        const trees = sizes.map((prompt) => ({ prompt, responses: [] }));
        const visible = causal ? causalTrees(trees) : wholeSegments(segments);
        const { biases, gridIndex } = layoutSegments(segments, visible, causal ? 3 : 1);
        for (const bias of biases) {
          for (let b = 0; b < sizes.length; b++) {
            for (let line = 0; line < gridIndex.shape[2]!; line++) {
              assert.ok(keysOf(bias, b, line).length > 0);
            }
          }
        }
      }),
    );
  });

  it('numbers consecutive runs', () => {
    assert.deepEqual(consecutive([2, 0, 3]), [[0, 1], [], [2, 3, 4]]);
  });
});
