import assert from 'node:assert/strict';
import { begunRows } from '../../../src/data/parquet/repetition-levels.ts';

/** A page that begins with these runs of levels, behind their length, which is not looked at. */
function pageOf(...runs: readonly number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, ...runs);
}

describe('begunRows', () => {
  it('counts the values of level 0 in runs of like levels and in packed ones', () => {
    // Five of level 0, three of level 1, then eight packed: 0 1 1 0 0 0 1 0 from the lowest bit on.
    const page = pageOf(5 << 1, 0, 3 << 1, 1, (1 << 1) | 1, 0b0100_0110);
    assert.deepEqual(begunRows(page, 16, 1), { rows: 10, isContinued: false });
    // The last eight may have values that are not there.
    assert.deepEqual(begunRows(page, 10, 1), { rows: 6, isContinued: false });
  });

  it('reads levels of several bits across bytes', () => {
    // 0 1 2 3 4 0 4 1 by three bits each.
    const packed = [0, 1, 2, 3, 4, 0, 4, 1].reduce((bits, level, i) => bits + level * 8 ** i, 0);
    const bytes = [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255];
    assert.deepEqual(begunRows(pageOf(3, ...bytes), 8, 4), { rows: 2, isContinued: false });
  });

  it('tells a page that begins inside a row', () => {
    assert.deepEqual(begunRows(pageOf(2 << 1, 1, 1 << 1, 0), 3, 1), { rows: 1, isContinued: true });
  });

  it('ends with a page that ends too soon, or has runs of nothing', () => {
    for (const page of [
      pageOf(),
      pageOf(5 << 1, 0),
      pageOf(0, 0),
      pageOf(1),
      pageOf(255, 255, 255, 255, 255),
    ]) {
      assert.throws(() => begunRows(page, 16, 1), RangeError);
    }
  });
});
