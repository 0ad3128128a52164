/** WebAssembly kernels of `Resampler`: the horizontal and the vertical pass of a separable filter. */
import { i32, loop, v128, type Code, type Local, type WasmFunction } from './wasm.ts';

/** Fraction bits of a filter weight. Sums of 8-bit pixels times weights stay within 32 bits. */
export const WEIGHT_BITS = 22;
const HALF = v128.splat(i32.const(1 << (WEIGHT_BITS - 1)));

/**
 * Passes of a separable resampler over 8-bit pixels in one memory.
 *
 * Output `i` is the sum of the `taps` inputs from `first[i]` on, each times its weight. `first` `[places]` and
 * `weights` `[places, taps]` are 32-bit integers. Addresses and lengths are bytes.
 */
export interface ResampleKernels {
  /** Horizontal pass over pixels of one sample. `taps` is a multiple of 4. */
  columns1: Pass;
  /** Horizontal passes over pixels of 2, 3 and 4 samples. */
  columns2: Pass;
  columns3: Pass;
  columns4: Pass;
  /** Vertical pass over rows of any pixels, `[…, rowBytes]` to `[places, rowBytes]`. */
  rows: (
    input: number,
    output: number,
    rowBytes: number,
    first: number,
    weights: number,
    taps: number,
    places: number,
  ) => void;
}

/** Horizontal pass, `[rows, inputRowBytes]` to `[rows, places · channels]`. */
type Pass = (
  input: number,
  output: number,
  inputRowBytes: number,
  first: number,
  weights: number,
  taps: number,
  places: number,
  rows: number,
) => void;

const NUMBER_BYTES = 4;

/** Element of a list of 32-bit integers. */
function numberAt(list: Local, index: Local): Code {
  return i32.load(i32.add(list.get, i32.mul(index.get, i32.const(NUMBER_BYTES))));
}

/** Four bytes at an address, widened to 32 bits. */
function fourPixels(from: Local): Code {
  return v128.lowI16ToI32(v128.lowU8ToI16(v128.load4Bytes(from.get)));
}

function addProduct(sum: Local, pixels: Code, weights: Code): Code {
  return sum.set(v128.addI32(sum.get, v128.mulI32(pixels, weights)));
}

/** Sums without their fraction bits. */
function rounded(sum: Code): Code {
  return v128.shiftRightI32(sum, WEIGHT_BITS);
}

/** Four levels clipped to 0 … 255, as the first four bytes of a vector. */
function fourBytes(levels: Code): Code {
  const halves = v128.i32ToI16(levels, levels);
  return v128.i16ToU8(halves, halves);
}

/** Parts in which the horizontal passes differ. */
interface ColumnSums {
  readonly name: string;
  /** Bytes of a pixel. */
  readonly channels: number;
  /** Inputs that one vector holds. */
  readonly inputs: number;
  /** Initial value of a sum. */
  readonly start: Code;
  /** Weights of the inputs, one in each lane. */
  readonly weightsAt: (address: Code) => Code;
  /** Rounds and stores a sum. */
  readonly store: (address: Code, sum: Local) => Code;
}

function columns({ name, channels, inputs, start, weightsAt, store }: ColumnSums): WasmFunction {
  return {
    name,
    parameters: 8,
    numbers: 5,
    vectors: 1,
    body(
      input,
      output,
      inputRowBytes,
      first,
      weights,
      taps,
      places,
      rows,
      y,
      x,
      k,
      from,
      weight,
      sum,
    ) {
      return [
        loop(y, rows.get, 1, [
          weight.set(weights.get),
          loop(x, places.get, 1, [
            sum.set(start),
            from.set(i32.add(input.get, i32.mul(numberAt(first, x), i32.const(channels)))),
            loop(k, taps.get, inputs, [
              addProduct(sum, fourPixels(from), weightsAt(weight.get)),
              from.add(i32.const(inputs * channels)),
              weight.add(i32.const(inputs * NUMBER_BYTES)),
            ]),
            store(output.get, sum),
            output.add(i32.const(channels)),
          ]),
          input.add(inputRowBytes.get),
        ]),
      ];
    },
  };
}

/** Pass with one lane for each sample of a pixel. Lanes beyond them are overwritten by the next pixel. */
const columnsOf = (channels: 2 | 3 | 4): WasmFunction =>
  columns({
    name: `columns${channels}`,
    channels,
    inputs: 1,
    start: HALF,
    weightsAt: (address) => v128.loadSplat(address),
    store: (address, sum) => v128.store4Bytes(address, fourBytes(rounded(sum.get))),
  });

/** Pass with one lane for each of four inputs: a grey pixel alone would leave three lanes empty. */
const columns1 = columns({
  name: 'columns1',
  channels: 1,
  inputs: 4,
  start: v128.splat(i32.const(0)),
  weightsAt: (address) => v128.load(address),
  store: (address, sum) => {
    const lanes = [0, 1, 2, 3].map((lane) => v128.lane(sum.get, lane));
    const total = v128.splat(lanes.reduce(i32.add));
    return v128.storeByte(address, fourBytes(rounded(v128.addI32(total, HALF))));
  },
});

const rows: WasmFunction = {
  name: 'rows',
  parameters: 7,
  numbers: 5,
  vectors: 6,
  body(
    input,
    output,
    rowBytes,
    first,
    weights,
    taps,
    places,
    y,
    x,
    k,
    from,
    weight,
    pixels,
    factor,
    a,
    b,
    c,
    d,
  ) {
    const [low, high] = [v128.lowU8ToI16(pixels.get), v128.highU8ToI16(pixels.get)];
    const quarters = [
      v128.lowI16ToI32(low),
      v128.highI16ToI32(low),
      v128.lowI16ToI32(high),
      v128.highI16ToI32(high),
    ];
    const sums = [a, b, c, d];
    const levels = sums.map((sum) => rounded(sum.get));
    return [
      loop(y, places.get, 1, [
        // Sixteen bytes at a time. Bytes beyond the row are overwritten by the next row.
        loop(x, rowBytes.get, 16, [
          ...sums.map((sum) => sum.set(HALF)),
          from.set(i32.add(i32.add(input.get, x.get), i32.mul(numberAt(first, y), rowBytes.get))),
          weight.set(weights.get),
          loop(k, taps.get, 1, [
            pixels.set(v128.load(from.get)),
            factor.set(v128.loadSplat(weight.get)),
            ...sums.map((sum, i) => addProduct(sum, quarters[i]!, factor.get)),
            from.add(rowBytes.get),
            weight.add(i32.const(NUMBER_BYTES)),
          ]),
          v128.store(
            i32.add(output.get, x.get),
            v128.i16ToU8(
              v128.i32ToI16(levels[0]!, levels[1]!),
              v128.i32ToI16(levels[2]!, levels[3]!),
            ),
          ),
        ]),
        output.add(rowBytes.get),
        weights.add(i32.mul(taps.get, i32.const(NUMBER_BYTES))),
      ]),
    ];
  },
};

/** Functions of `ResampleKernels`. */
export const resampleFunctions: readonly WasmFunction[] = [
  columns1,
  columnsOf(2),
  columnsOf(3),
  columnsOf(4),
  rows,
];
