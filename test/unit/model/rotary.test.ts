import assert from 'node:assert/strict';
import { inverseFrequencies, textRotary, type RotaryConfig } from '../../../src/model/rotary.ts';
import { visionRotary } from '../../../src/model/vision/rotary.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { assertClose } from '../../support/assert-close.ts';

const rope = (
  headDim: number,
  ropeTheta: number,
  mropeSection: RotaryConfig['mropeSection'] = null,
): RotaryConfig => ({
  headDim,
  ropeTheta,
  ropeScaling: null,
  mropeSection,
  mropeLayout: 'sections',
});

// Angles are products in float32, like the reference's; up to 100 radians that is good to 1e-5.
const tolerance = { atol: 1e-5 };

describe('rotary angles', () => {
  it('turn by base to the power of -2j/d', () => {
    assertClose(inverseFrequencies(8, 10_000), [1, 0.1, 0.01, 0.001], { rtol: 1e-6 });
  });

  it('follow the one row of positions of a text model', () => {
    const positions = tensorOf('i32', [1, 3], [0, 5, 90]);
    const { cos, sin } = textRotary(positions, rope(4, 100));
    const angles = [0, 0, 5, 0.5, 90, 9];
    assert.deepEqual(cos.shape, [3, 2]);
    assertClose(cos.data, angles.map(Math.cos), tolerance);
    assertClose(sin.data, angles.map(Math.sin), tolerance);
  });

  it('follow time, height and width by sections of the frequencies', () => {
    const positions = tensorOf('i32', [3, 2], [3, 4, 10, 20, 50, 60]);
    const { cos, sin } = textRotary(positions, rope(12, 1000, [1, 2, 3]));
    const frequency = (j: number): number => 1000 ** (-j / 6);
    const angles = [0, 1].flatMap((t) =>
      [0, 1, 1, 2, 2, 2].map((axis, j) => positions.data[axis * 2 + t]! * frequency(j)),
    );
    assertClose(cos.data, angles.map(Math.cos), tolerance);
    assertClose(sin.data, angles.map(Math.sin), tolerance);
  });

  it('agree with one row where the three rows are equal', () => {
    const row = [0, 1, 7, 30];
    const three = textRotary(
      tensorOf('i32', [3, 4], [...row, ...row, ...row]),
      rope(16, 1e6, [2, 3, 3]),
    );
    const one = textRotary(tensorOf('i32', [1, 4], row), rope(16, 1e6));
    assert.deepEqual(three, one);
  });

  it('follow row and column of the patches of an image, merge block by merge block', () => {
    const { cos, sin } = visionRotary(
      [
        [2, 2, 4],
        [1, 2, 2],
      ],
      8,
      2,
    );
    const block = (x: number): number[][] => [
      [0, x],
      [0, x + 1],
      [1, x],
      [1, x + 1],
    ];
    const frame = [...block(0), ...block(2)];
    const places = [...frame, ...frame, ...block(0)];
    const angles = places.flatMap(([y, x]) => [y!, y! / 100, x!, x! / 100]);
    assert.deepEqual(cos.shape, [20, 4]);
    assertClose(cos.data, angles.map(Math.cos), tolerance);
    assertClose(sin.data, angles.map(Math.sin), tolerance);
  });
});
