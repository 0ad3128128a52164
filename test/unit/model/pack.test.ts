import assert from 'node:assert/strict';
import { packPrompts, packSequences, type PromptInput } from '../../../src/model/pack.ts';
import { patchValues } from '../../../src/tensor/patch-levels.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { textPrompt, tokens } from '../../support/golden-model.ts';

/** Token, one image of 4 merged patches, token; positions as the specification has them. */
const withImage: PromptInput = {
  tokenIds: tokens([7, 630, 630, 630, 630, 8]),
  positions: tensorOf('i32', [3, 6], [0, 1, 1, 1, 1, 3, 0, 1, 1, 2, 2, 3, 0, 1, 2, 1, 2, 3]),
  pixelValues: tensorOf('f32', [2, 3], [1, 2, 3, 4, 5, 6]),
  grids: [[1, 1, 2]],
};

describe('packSequences', () => {
  it('puts tokens end to end and scores each response token by the row before it', () => {
    const { tokenIds, trees, scoredRows, targets } = packSequences([
      { prompt: textPrompt([1, 2, 3]), response: tokens([4, 5]) },
      { prompt: withImage, response: tokens([9]) },
      { prompt: textPrompt([6]), response: tokens([7, 8, 9]) },
    ]);
    assert.deepEqual([...tokenIds], [1, 2, 3, 4, 5, 7, 630, 630, 630, 630, 8, 9, 6, 7, 8, 9]);
    assert.deepEqual(trees, [
      { prompt: 3, responses: [2] },
      { prompt: 6, responses: [1] },
      { prompt: 1, responses: [3] },
    ]);
    assert.deepEqual([...targets], [4, 5, 9, 7, 8, 9]);
    assert.deepEqual([...scoredRows], [2, 3, 10, 12, 13, 14]);
  });

  it('computes a prompt once for all its responses', () => {
    const prompt = textPrompt([1, 2, 3]);
    const batch = packSequences([
      { prompt, response: tokens([4, 5]) },
      { prompt: withImage, response: tokens([9]) },
      { prompt, response: tokens([6]) },
    ]);
    assert.deepEqual(batch.trees, [
      { prompt: 3, responses: [2, 1] },
      { prompt: 6, responses: [1] },
    ]);
    assert.deepEqual([...batch.tokenIds], [1, 2, 3, 4, 5, 6, 7, 630, 630, 630, 630, 8, 9]);
    assert.deepEqual([...batch.positions.data.subarray(0, 6)], [0, 1, 2, 3, 4, 3]);
    assert.deepEqual([...batch.scoredRows], [2, 3, 11, 2]);
    assert.deepEqual([...batch.targets], [4, 5, 9, 6]);
  });

  it('computes a prompt again where its responses are so long that a tree of all costs more', () => {
    const long = tokens(Array.from({ length: 130 }, (_, i) => i));
    const [first, second] = [long, tokens([7])];
    const batch = packSequences(
      [first, first, first, second].map((response) => ({ prompt: withImage, response })),
    );
    assert.deepEqual(batch.trees, [
      { prompt: 6, responses: [130, 130, 1] },
      { prompt: 6, responses: [130] },
    ]);
    assert.equal(batch.grids.length, 2);
    assert.equal(batch.tokenIds[266], 7);
    const starts = [0, 130, 260, 390].map((i) => batch.scoredRows[i]);
    assert.deepEqual(starts, [5, 5, 267 + 5, 5]);
    assert.deepEqual([...batch.targets.subarray(390)], [7]);
  });

  it('knows a prompt again by its tensors, whatever object they came in', () => {
    const levels = tensorOf('u8', [1, 1, 1, 2], [3, 4]);
    const values = tensorOf(
      'f32',
      [1, 256],
      Array.from({ length: 256 }, (_, level) => level),
    );
    const promptWith = (own: typeof levels): PromptInput => ({
      ...withImage,
      pixelValues: { levels: own, values, frames: 1 },
    });
    const response = tokens([9]);
    const alike = [
      promptWith(levels),
      promptWith(levels),
      promptWith(tensorOf('u8', [1, 1, 1, 2], [3, 4])),
    ];
    const batch = packSequences(alike.map((prompt) => ({ prompt, response })));
    assert.deepEqual(
      batch.trees.map(({ responses }) => responses),
      [[1, 1], [1]],
    );
    assert.deepEqual([...patchValues(batch.pixelValues)!.data], [3, 4, 3, 4]);
  });

  it("goes on from the prompt's last position in all three rows", () => {
    const { positions } = packSequences([
      { prompt: withImage, response: tokens([9, 9]) },
      { prompt: textPrompt([1, 2]), response: tokens([3]) },
    ]);
    assert.deepEqual(positions.shape, [3, 11]);
    assert.deepEqual(
      [...positions.data],
      [
        ...[0, 1, 1, 1, 1, 3, 4, 5, 0, 1, 2],
        ...[0, 1, 1, 2, 2, 3, 4, 5, 0, 1, 2],
        ...[0, 1, 2, 1, 2, 3, 4, 5, 0, 1, 2],
      ],
    );
  });

  it('has the patches of all images in order, and none of none', () => {
    const other = { ...withImage, pixelValues: tensorOf('f32', [1, 3], [7, 8, 9]) };
    const batch = packPrompts([withImage, textPrompt([1]), other]);
    const { shape, data } = patchValues(batch.pixelValues)!;
    assert.deepEqual(shape, [3, 3]);
    assert.deepEqual([...data], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual(batch.grids, [
      [1, 1, 2],
      [1, 1, 2],
    ]);
    assert.deepEqual(packPrompts([textPrompt([1])]).pixelValues, []);
  });

  it('scores nothing of prompts alone', () => {
    assert.equal(packPrompts([withImage, textPrompt([1, 2])]).scoredRows.length, 0);
  });
});
