import assert from 'node:assert/strict';
import type { Grid } from '../../../src/tensor/patch-levels.ts';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { promptPositions } from '../../../src/model/position-ids.ts';
import { goldenJson } from '../../support/golden.ts';

const { tokens, ...others } = decodeModelConfig(goldenJson('micro-vl/config.json'), 'config.json');
const config = { ...others, tokens: { ...tokens!, imagePad: 100, videoPad: 101 } };
const pads = (id: number, count: number): number[] => Array.from({ length: count }, () => id);

function positionsOf(
  ids: readonly number[],
  grids: readonly Grid[] = [],
  secondsPerGrid: readonly number[] | null = null,
) {
  return promptPositions(config, ids, { grids, secondsPerGrid });
}

function rowsOf(...[ids, ...media]: Parameters<typeof positionsOf>): string[] {
  const positions = positionsOf(ids, ...media);
  return [0, 1, 2].map((row) =>
    positions.data.subarray(row * ids.length, (row + 1) * ids.length).join(' '),
  );
}

describe('promptPositions', () => {
  it('gives the check values of the specification for an image', () => {
    const ids = [1, 2, 3, 98, ...pads(100, 6), 99, 4, 5];
    assert.deepEqual(rowsOf(ids, [[1, 4, 6]]), [
      '0 1 2 3 4 4 4 4 4 4 7 8 9',
      '0 1 2 3 4 4 4 5 5 5 7 8 9',
      '0 1 2 3 4 5 6 4 5 6 7 8 9',
    ]);
  });

  it('gives the check values of the specification for a video at two rates', () => {
    const ids = [1, 98, ...pads(101, 8), 99, 7];
    assert.deepEqual(rowsOf(ids, [[2, 4, 4]], [1]), [
      '0 1 2 2 2 2 4 4 4 4 5 6',
      '0 1 2 2 3 3 2 2 3 3 5 6',
      '0 1 2 3 2 3 2 3 2 3 5 6',
    ]);
    assert.deepEqual(rowsOf(ids, [[2, 4, 4]], [0.5]), [
      '0 1 2 2 2 2 3 3 3 3 4 5',
      '0 1 2 2 3 3 2 2 3 3 4 5',
      '0 1 2 3 2 3 2 3 2 3 4 5',
    ]);
  });

  it('counts text on in three equal rows', () => {
    assert.deepEqual(rowsOf([5, 6, 7]), ['0 1 2', '0 1 2', '0 1 2']);
  });

  it('says how a decoder goes on after images that take fewer positions than tokens', () => {
    const rows = rowsOf([1, ...pads(100, 6), 2], [[1, 4, 6]]);
    assert.deepEqual(
      rows.map((row) => row.at(-1)),
      ['4', '4', '4'],
    );
  });

  it('refuses grids that do not fit the placeholders', () => {
    assert.throws(() => positionsOf([1, 100]), {
      code: 'DATA_INVALID',
      message: /token 1 begins image 1, which has no grid/,
    });
    assert.throws(() => positionsOf([1, 100, 2], [[1, 4, 4]]), {
      code: 'DATA_INVALID',
      message: /image 1 of grid \[1, 4, 4\] wants 4 placeholders, but token 2 is not one/,
    });
    assert.throws(() => positionsOf([1, 2], [[1, 4, 4]]), {
      code: 'DATA_INVALID',
      message: /1 images and 0 videos, but placeholders of 0 and 0/,
    });
  });
});
