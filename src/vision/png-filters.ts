import { i32, loop, v128, type Code, type Local, type WasmFunction } from './wasm.ts';
import { WasmKernels } from './wasm-kernels.ts';

/** Bytes of the rows that go through the filters together. They fit in a core's cache. */
const STRIP_BYTES = 2 ** 18;

/**
 * Undoes the filter of a row of pixels.
 *
 * A pixel is predicted from the pixel before it and from two of the row above, so a vector holds the samples of one
 * pixel and not more. Addresses and `step` are bytes. The pixel before the first one is zero.
 */
type UndoFilter = (from: number, above: number, to: number, pixels: number, step: number) => void;

/** Filters by number: a row begins with 1 for the first of them, and with 0 for none. */
const FILTERS = ['sub', 'up', 'average', 'paeth'] as const;
type Filter = (typeof FILTERS)[number];

/** Inverse of the filters of PNG. */
export class PngFilters {
  readonly #kernels = new WasmKernels<Record<Filter, UndoFilter>>(FILTERS.map(undoing));

  /**
   * Undoes the filters of rows in place: `[height, 1 + width · step]` become `[height, width · step]`.
   *
   * @param step bytes of a pixel, 1 to 4
   * @returns false if a row has a filter that does not exist
   * @see PNG specification, third edition, section 9
   */
  undo(rows: Uint8Array, width: number, height: number, step: number): boolean {
    const rowBytes = width * step;
    const stripRows = Math.min(height, Math.ceil(STRIP_BYTES / rowBytes));
    const { kernels, bytes, at } = this.#kernels.layOut({
      filtered: stripRows * (1 + rowBytes),
      above: rowBytes,
      plain: stripRows * rowBytes,
    });
    bytes.fill(0, at.above, at.above + rowBytes); // above the first row
    for (let row = 0; row < height; row += stripRows) {
      const count = Math.min(stripRows, height - row);
      const input = row * (1 + rowBytes);
      bytes.set(rows.subarray(input, input + count * (1 + rowBytes)), at.filtered);
      let above = at.above;
      for (let y = 0; y < count; y++) {
        const from = at.filtered + y * (1 + rowBytes);
        const number = bytes[from]!;
        const to = at.plain + y * rowBytes;
        if (number > FILTERS.length) return false;
        if (number === 0) bytes.copyWithin(to, from + 1, from + 1 + rowBytes);
        else kernels[FILTERS[number - 1]!](from + 1, above, to, width, step);
        above = to;
      }
      rows.set(bytes.subarray(at.plain, at.plain + count * rowBytes), row * rowBytes);
      bytes.copyWithin(at.above, above, above + rowBytes);
    }
    return true;
  }
}

/**
 * Sets the prediction of a pixel, 16 bits a sample, from the pixels on its left, above it, and above its left.
 *
 * @param spare local variables
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
  // The neighbour nearest to left + above - corner; of equally near ones the first.
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

/** Four samples at an address, widened to 16 bits. */
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
          // Bytes beyond the pixel are overwritten by the next one, or lie in the slack behind the rows.
          v128.store4Bytes(to.get, v128.i16ToU8(left.get, left.get)),
          ...[from, above, to].map((address) => address.add(step.get)),
        ]),
      ];
    },
  };
}
