/** Conversions between f32 and the half-precision formats, in whole arrays. */
import { slices } from './slices.ts';

/**
 * Elements converted at a time.
 *
 * V8 compiles a loop over an array of more than 2^31 elements for an index in a double, and it becomes 60 times slower.
 */
const CHUNK = 2 ** 16;

/** Half-precision formats that weights are stored in. */
export type HalfDType = 'f16' | 'bf16';

/** Converts half-precision bits to f32 values, exactly. */
export function decodeF32(dtype: HalfDType, bits: Uint16Array, into: Float32Array): void {
  for (const { start, end } of slices(bits.length, CHUNK)) {
    decodePiece(dtype, bits.subarray(start, end), into.subarray(start, end));
  }
}

function decodePiece(dtype: HalfDType, bits: Uint16Array, into: Float32Array): void {
  if (dtype === 'bf16') {
    const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
    for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  } else {
    into.set(new Float16Array(bits.buffer, bits.byteOffset, bits.length));
  }
}

/**
 * Converts f32 values to the nearest half-precision bits, ties to even.
 *
 * A value too large for the format becomes an infinity. A NaN stays a NaN.
 */
export function encodeF32(dtype: HalfDType, values: Float32Array, into: Uint16Array): void {
  for (const { start, end } of slices(values.length, CHUNK)) {
    encodePiece(dtype, values.subarray(start, end), into.subarray(start, end));
  }
}

function encodePiece(dtype: HalfDType, values: Float32Array, into: Uint16Array): void {
  if (dtype === 'f16') {
    new Float16Array(into.buffer, into.byteOffset, values.length).set(values);
    return;
  }
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) into[i] = nearestBf16(words[i]!);
}

/** The bf16 bits nearest to f32 bits, ties to even; a NaN stays a NaN. */
export function nearestBf16(word: number): number {
  const isNaN = (word & 0x7fffffff) > 0x7f800000;
  if (isNaN && (word & 0xffff) !== 0) return (word >>> 16) | 0x40;
  if ((word & 0x7f800000) === 0x7f800000) return word >>> 16;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

/** Rounds values in place to the nearest of a format. `f32` leaves them as they are. */
export function roundTo(dtype: HalfDType | 'f32', values: Float32Array): void {
  if (dtype === 'f32') return;
  for (const { start, end } of slices(values.length, CHUNK)) {
    const piece = values.subarray(start, end);
    if (dtype === 'bf16') roundToBf16(piece);
    else piece.set(new Float16Array(piece));
  }
}

/** Rounds in place. Values that are bf16 already, such as a checkpoint's, are not written. */
function roundToBf16(values: Float32Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if ((word & 0xffff) !== 0) words[i] = nearestBf16(word) << 16;
  }
}
