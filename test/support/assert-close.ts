import assert from 'node:assert/strict';

/** Largest distance between a value and the expected one: |a - e| <= atol + rtol * |e|. */
export interface Tolerance {
  readonly rtol?: number;
  readonly atol?: number;
}

/** Fails with the worst element's index, both values and its error when any element is out of tolerance. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol = 0, atol = 0 }: Tolerance,
  what = 'values',
): void {
  assert.equal(actual.length, expected.length, `${what}: lengths differ`);
  let worst = -1;
  let worstExcess = 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    const excess = error - (atol + rtol * Math.abs(expected[i]!));
    if (Number.isNaN(error) ? !Object.is(actual[i], expected[i]) : excess > worstExcess) {
      worst = i;
      worstExcess = Number.isNaN(error) ? Infinity : excess;
    }
  }
  if (worst >= 0) {
    assert.fail(
      `${what}[${worst}]: got ${actual[worst]}, expected ${expected[worst]}, ` +
        `off by ${Math.abs(actual[worst]! - expected[worst]!)} (rtol ${rtol}, atol ${atol})`,
    );
  }
}
