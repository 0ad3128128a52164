import { i32, loop, v128, type Code, type Local, type WasmFunction } from './wasm.ts';
import { WasmBench } from './wasm-bench.ts';

/** Rows go through the filters by so many bytes at a time, which a core's cache holds. */
const STRIP_BYTES = 2 ** 18;

/**
 * Undoes a filter of a row of pixels, one pixel after the other: each is predicted from the one before and from two of
 * the row above, which is what keeps a program from taking them faster than a vector of one pixel's samples at a time.
 * Addresses are bytes; a row has no pixel on its left but zeros.
 */
type UndoFilter = (from: number, above: number, to: number, pixels: number, step: number) => void;

/** By the number that a row begins with, less 1; 0 is none. */
const FILTERS = ['sub', 'up', 'average', 'paeth'] as const;
type Filter = (typeof FILTERS)[number];

/**
 * Undoes the filters of rows, in place: `[height, 1 + width · step]` become `[height, width · step]`.
 *
 * @param step bytes of a pixel, 1 to 4
 * @returns false where a row has a filter that does not exist
 * @see PNG specification, third edition, section 9
 */
export function unfilter(bytes: Uint8Array, width: number, height: number, step: number): boolean {
  const rowBytes = width * step;
  const stripRows = Math.min(height, Math.ceil(STRIP_BYTES / rowBytes));
  const {
    kernels,
    bytes: working,
    at,
  } = bench.layOut({
    filtered: stripRows * (1 + rowBytes),
    above: rowBytes,
    plain: stripRows * rowBytes,
  });
  working.fill(0, at.above, at.above + rowBytes); // above the first row
  for (let row = 0; row < height; row += stripRows) {
    const count = Math.min(stripRows, height - row);
    const input = row * (1 + rowBytes);
    working.set(bytes.subarray(input, input + count * (1 + rowBytes)), at.filtered);
    let above = at.above;
    for (let y = 0; y < count; y++) {
      const from = at.filtered + y * (1 + rowBytes);
      const number = working[from]!;
      const to = at.plain + y * rowBytes;
      if (number > FILTERS.length) return false;
      if (number === 0) working.copyWithin(to, from + 1, from + 1 + rowBytes);
      else kernels[FILTERS[number - 1]!](from + 1, above, to, width, step);
      above = to;
    }
    bytes.set(working.subarray(at.plain, at.plain + count * rowBytes), row * rowBytes);
    working.copyWithin(at.above, above, above + rowBytes);
  }
  return true;
}

/**
 * Sets what a pixel is predicted to be, 16 bits a sample, from its left, from above, and from above its left.
 *
 * @param spare variables to work with
 */
type Prediction = (
  predicted: Local,
  left: Local,
  above: Local,
  corner: Local,
  ...spare: Local[]
) => readonly Code[];

const predictions: Record<Filter, Prediction> = {
  sub: (predicted, left) => [predicted.set(left.get)],
  up: (predicted, _left, above) => [predicted.set(above.get)],
  average: (predicted, left, above) => [
    predicted.set(v128.shiftRightI16(v128.addI16(left.get, above.get), 1)),
  ],
  // Whichever is nearest to left + above - corner; of those as near, the first.
  paeth: (predicted, left, above, corner, byLeft, byAbove, byCorner, least) => [
    byLeft.set(v128.subI16(above.get, corner.get)),
    byAbove.set(v128.subI16(left.get, corner.get)),
    byCorner.set(v128.absI16(v128.addI16(byLeft.get, byAbove.get))),
    byLeft.set(v128.absI16(byLeft.get)),
    byAbove.set(v128.absI16(byAbove.get)),
    least.set(v128.minI16(v128.minI16(byLeft.get, byAbove.get), byCorner.get)),
    predicted.set(
      v128.select(
        left.get,
        v128.select(above.get, corner.get, v128.equalI16(byAbove.get, least.get)),
        v128.equalI16(byLeft.get, least.get),
      ),
    ),
  ],
};

/** The four samples at an address, 16 bits each. */
function fourSamples(address: Local): Code {
  return v128.lowU8ToI16(v128.load4Bytes(address.get));
}

function undoing(name: Filter): WasmFunction {
  return {
    name,
    parameters: 5,
    numbers: 1,
    vectors: 8,
    body(from, above, to, pixels, step, i, left, up, corner, predicted, ...spare) {
      const sum = v128.addI16(fourSamples(from), predicted.get);
      return [
        loop(i, pixels.get, 1, [
          up.set(fourSamples(above)),
          ...predictions[name](predicted, left, up, corner, ...spare),
          left.set(v128.and(sum, v128.splat(i32.const(0x00ff00ff)))),
          corner.set(up.get),
          // What is too much of four bytes is written over by the next pixel, or lies behind the rows.
          v128.store4Bytes(to.get, v128.i16ToU8(left.get, left.get)),
          ...[from, above, to].map((address) => address.add(step.get)),
        ]),
      ];
    },
  };
}

const bench = new WasmBench<Record<Filter, UndoFilter>>(FILTERS.map(undoing));
