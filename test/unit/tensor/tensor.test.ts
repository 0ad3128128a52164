import assert from 'node:assert/strict';
import { bf16ToNumber, nearestIn, numberToBf16, viewOf } from '../../../src/tensor/dtype.ts';
import { numbersOf } from '../../../src/tensor/numbers.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';

const halves = ['f16', 'bf16'] as const;

/** The value of every half-precision bit pattern of one sign, by the definition of IEEE 754's formats. */
function valueOfBits(dtype: (typeof halves)[number], bits: number): number {
  const fraction = dtype === 'f16' ? 10 : 7;
  const bias = dtype === 'f16' ? 15 : 127;
  const exponent = bits >>> fraction;
  const mantissa = (bits & (2 ** fraction - 1)) / 2 ** fraction;
  if (exponent === 2 * bias + 1) return mantissa === 0 ? Infinity : NaN;
  return exponent === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (exponent - bias);
}

/** The bits of a half-precision tensor's elements. */
const bitsOf = ({ data }: { data: Uint16Array | Float16Array }): Uint16Array =>
  viewOf('bf16', data.buffer, data.byteOffset, data.length);

describe('tensorOf', () => {
  for (const dtype of halves) {
    const infinity = dtype === 'f16' ? 0x7c00 : 0x7f80;
    const patterns = Array.from({ length: infinity + 1 }, (_, bits) => bits);
    const values = patterns.map((bits) => valueOfBits(dtype, bits));

    it(`takes every number that ${dtype} has as it is, of either sign`, () => {
      const tensor = tensorOf(dtype, [values.length], values);
      assert.deepEqual([...bitsOf(tensor)], patterns);
      assert.deepEqual(numbersOf(tensor), Float64Array.from(values));
      const negative = values.map((value) => -value);
      const negatives = tensorOf(dtype, [values.length], negative);
      assert.deepEqual(
        [...bitsOf(negatives)],
        patterns.map((bits) => bits | 0x8000),
      );
      assert.deepEqual(numbersOf(negatives), Float64Array.from(negative));
    });

    it(`rounds to the nearest of ${dtype}, ties to even, even where f32 would see a tie`, () => {
      // Beyond the largest number the next one would be an infinity's place in the row of exponents.
      const ends = [...values.slice(0, -1), 2 ** (dtype === 'f16' ? 16 : 128)];
      const between = patterns.slice(1).map((bits) => {
        const low = ends[bits - 1]!;
        const middle = low + (ends[bits]! - low) / 2;
        return { low: bits - 1, high: bits, middle, beyond: middle * (1 + 2 ** -40) };
      });
      const shape = [between.length];
      const encoded = (pick: (place: (typeof between)[number]) => number): number[] => [
        ...bitsOf(tensorOf(dtype, shape, between.map(pick))),
      ];
      assert.deepEqual(
        encoded(({ middle }) => middle),
        between.map(({ low, high }) => (low % 2 === 0 ? low : high)),
      );
      assert.deepEqual(
        encoded(({ beyond }) => beyond),
        between.map(({ high }) => high),
      );
      assert.deepEqual(
        encoded(({ middle }) => middle * (1 - 2 ** -40)),
        between.map(({ low }) => low),
      );
    });

    it(`keeps NaN and infinities in ${dtype}`, () => {
      const numbers = [NaN, Infinity, -Infinity, 1e39, -1e300];
      assert.deepEqual(
        [...numbersOf(tensorOf(dtype, [5], numbers))],
        [NaN, Infinity, -Infinity, Infinity, -Infinity],
      );
    });

    it(`rounds to ${dtype} as nearestIn says`, () => {
      const numbers = [1 / 3, -1e-7, 65519, 1 + 2 ** -9, 3.14159, 0, -0];
      const tensor = tensorOf(dtype, [numbers.length], numbers);
      const nearest = numbers.map((number) => nearestIn(dtype, number));
      assert.deepEqual(numbersOf(tensor), Float64Array.from(nearest));
    });
  }

  it('takes whole numbers for i64, as numbers or as bigints', () => {
    assert.deepEqual(tensorOf('i64', [2], [3, -4]).data, BigInt64Array.of(3n, -4n));
    assert.deepEqual([...numbersOf(tensorOf('i64', [2], [2n ** 40n, -1n]))], [2 ** 40, -1]);
  });

  it('names the shape that wants another number of values', () => {
    assert.throws(() => tensorOf('f32', [2, 3], [1, 2]), {
      code: 'SHAPE_MISMATCH',
      message: 'tensorOf: shape [2, 3] wants 6 values, got 2',
    });
  });
});

describe('bf16', () => {
  it('is the upper half of f32, rounded', () => {
    assert.equal(numberToBf16(1), 0x3f80);
    assert.equal(numberToBf16(-0.5), 0xbf00);
    assert.equal(numberToBf16(Math.PI), 0x4049);
    assert.equal(bf16ToNumber(0x4049), 3.140625);
    assert.deepEqual(zeros('bf16', [2]).data, Uint16Array.of(0, 0));
  });
});
