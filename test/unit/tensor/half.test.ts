import assert from 'node:assert/strict';
import { nearestIn } from '../../../src/tensor/dtype.ts';
import { decodeF32, encodeF32, roundTo } from '../../../src/tensor/half.ts';
import { keyOf, Rng } from '../../../src/rng.ts';

describe('half-precision numbers', () => {
  const rng = new Rng(keyOf('half test', 0));
  /** Bits of every kind: any, those of halves, halfway between two, infinities and NaN. */
  const words = Uint32Array.from({ length: 70_000 }, (_, i) => {
    const word = Math.floor(rng.nextUniform() * 2 ** 32);
    const top = Math.floor(word / 2 ** 16) * 2 ** 16;
    return [word, top, top + 0x8000, top + 0x8001, 0x7f800000, 0xff800001, 0x7fc12345][i % 7]!;
  });
  const values = new Float32Array(words.buffer);

  for (const dtype of ['bf16', 'f16'] as const) {
    it(`are the nearest in ${dtype}, ties to even, and the same rounded in place`, () => {
      const bits = new Uint16Array(values.length);
      encodeF32(dtype, values, bits);
      const decoded = new Float32Array(values.length);
      decodeF32(dtype, bits, decoded);
      const rounded = values.slice();
      roundTo(dtype, rounded);
      for (const [i, value] of values.entries()) {
        assert.ok(Object.is(decoded[i], nearestIn(dtype, value)), `${value}: ${decoded[i]}`);
        assert.ok(Object.is(rounded[i], decoded[i]), `${value}: ${rounded[i]}`);
      }
    });
  }
});
