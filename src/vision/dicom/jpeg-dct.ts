/**
 * Grey JPEG pictures of 12 bits a sample (ITU-T T.81: extended sequential DCT, process 4). libjpeg-turbo, behind sharp,
 * reads only those of 8.
 *
 * The inverse DCT is the exact-integer form of Loeffler, Ligtenberg and Moschytz ("Practical fast 1-D DCT algorithms
 * with 11 multiplications", ICASSP 1989) with 13-bit constants, as libjpeg's `islow` has it, so levels are libjpeg's.
 */
import type { ImageSize } from '../decoded-image.ts';
import { broken, JpegBits, type HuffmanTable, type JpegStream } from './jpeg-stream.ts';

/** Place in a block of the i-th coefficient of the zigzag order. */
const ZIGZAG = zigzag();

const CONSTANT_BITS = 13;
/** Fractional bits kept between the two passes. One fewer than for 8-bit samples would overflow 32 bits in C. */
const PASS_BITS = 1;

/** Rotations' cosines and sines as integers of 13 fractional bits. */
const [
  C0_298,
  C0_390,
  C0_541,
  C0_765,
  C0_899,
  C1_175,
  C1_501,
  C1_847,
  C1_961,
  C2_053,
  C2_562,
  C3_072,
] = [
  ...[0.298631336, 0.390180644, 0.5411961, 0.765366865, 0.899976223, 1.175875602],
  ...[1.50132111, 1.847759065, 1.96157056, 2.053119869, 2.562915447, 3.072711026],
].map((constant) => Math.round(constant * 2 ** CONSTANT_BITS)) as [
  ...[number, number, number, number, number, number],
  ...[number, number, number, number, number, number],
];

/**
 * Decodes a grey picture of a sequential DCT process.
 *
 * @returns `[height, width]`, unsigned
 * @throws DATA_INVALID if the stream is broken or coloured, RangeError if it is cut short
 */
export function decodeDct(bytes: Uint8Array, { frame, scan }: JpegStream): Uint16Array {
  const { width, height, precision, components } = frame;
  if (scan === null || components.length !== 1) throw broken('12-bit colours are not read');
  const { quantization, dc, ac } = scan.components[0]!;
  if (quantization === undefined || dc === undefined || ac === undefined) {
    throw broken('its scan has no tables');
  }
  const bits = new JpegBits(bytes, scan.offset);
  const samples = new Uint16Array(width * height);
  const blocksAcross = Math.ceil(width / 8);
  const blocks = blocksAcross * Math.ceil(height / 8);
  const block = new Float64Array(64);
  let predicted = 0;
  for (let i = 0; i < blocks; i++) {
    if (scan.restartInterval > 0 && i > 0 && i % scan.restartInterval === 0) {
      bits.restart();
      predicted = 0;
    }
    predicted = readBlock(bits, dc, ac, quantization, predicted, block);
    invert(block);
    const left = 8 * (i % blocksAcross);
    const top = 8 * Math.floor(i / blocksAcross);
    copyBlock(block, samples, { width, height, left, top, precision });
  }
  return samples;
}

/** Reads the coefficients of a block, times the quantisation. Returns its DC coefficient without it. */
function readBlock(
  bits: JpegBits,
  dc: HuffmanTable,
  ac: HuffmanTable,
  quantization: Uint16Array,
  predicted: number,
  block: Float64Array,
): number {
  block.fill(0);
  const level = predicted + bits.signed(coefficientBits(bits.symbol(dc)));
  block[0] = level * quantization[0]!;
  for (let i = 1; i < 64; i++) {
    const symbol = bits.symbol(ac);
    const size = symbol & 15;
    const zeros = symbol >> 4;
    if (size === 0 && zeros < 15) break;
    i += zeros;
    if (i > 63) throw broken('it has a block of more than 64 coefficients');
    block[ZIGZAG[i]!] = bits.signed(size) * quantization[i]!;
  }
  return level;
}

function coefficientBits(size: number): number {
  if (size > 16) throw broken(`it has a coefficient of ${size} bits`);
  return size;
}

interface BlockPlace extends ImageSize {
  readonly left: number;
  readonly top: number;
  readonly precision: number;
}

/** Copies a block to its place, shifted to unsigned levels and clipped. */
function copyBlock(block: Float64Array, samples: Uint16Array, place: BlockPlace): void {
  const { width, height, left, top, precision } = place;
  const most = 2 ** precision - 1;
  const middle = 2 ** (precision - 1);
  const [right, bottom] = [Math.min(8, width - left), Math.min(8, height - top)];
  for (let y = 0; y < bottom; y++) {
    for (let x = 0; x < right; x++) {
      const level = block[8 * y + x]! + middle;
      samples[(top + y) * width + left + x] = Math.max(0, Math.min(most, level));
    }
  }
}

/** Inverse DCT of a block in place: columns, then rows. */
function invert(block: Float64Array): void {
  for (let column = 0; column < 8; column++)
    invertLine(block, column, 8, CONSTANT_BITS - PASS_BITS);
  // The two passes' DCTs are not normalised: their factor of 8 is three bits more.
  for (let row = 0; row < 64; row += 8) invertLine(block, row, 1, CONSTANT_BITS + PASS_BITS + 3);
}

/** Inverse DCT of 8 numbers, `stride` apart, each rounded to `shift` bits less. */
function invertLine(block: Float64Array, start: number, stride: number, shift: number): void {
  const at = (i: number): number => block[start + i * stride]!;
  const [s1, s3, s5, s7] = [at(1), at(3), at(5), at(7)];
  // The even half is a DCT of 4.
  const turn = (at(2) + at(6)) * C0_541;
  const [e2, e3] = [turn - at(6) * C1_847, turn + at(2) * C0_765];
  const [e0, e1] = [(at(0) + at(4)) * 2 ** CONSTANT_BITS, (at(0) - at(4)) * 2 ** CONSTANT_BITS];
  const even = [e0 + e3, e1 + e2, e1 - e2, e0 - e3];
  // The odd half shares one rotation of both its sums.
  const shared = (s7 + s3 + s5 + s1) * C1_175;
  const [a, b] = [(s7 + s1) * -C0_899, (s5 + s3) * -C2_562];
  const [c, d] = [shared - (s7 + s3) * C1_961, shared - (s5 + s1) * C0_390];
  const odd = [s1 * C1_501 + a + d, s3 * C3_072 + b + c, s5 * C2_053 + b + d, s7 * C0_298 + a + c];
  const half = 2 ** (shift - 1);
  for (let i = 0; i < 4; i++) {
    block[start + i * stride] = Math.floor((even[i]! + odd[i]! + half) / 2 ** shift);
    block[start + (7 - i) * stride] = Math.floor((even[i]! - odd[i]! + half) / 2 ** shift);
  }
}

/** Diagonals of a block of 8 × 8, each in the other direction than the one before. */
function zigzag(): Uint8Array {
  const order = new Uint8Array(64);
  let i = 0;
  for (let diagonal = 0; diagonal < 15; diagonal++) {
    for (let step = Math.max(0, diagonal - 7); step <= Math.min(7, diagonal); step++) {
      const [x, y] = diagonal % 2 === 0 ? [step, diagonal - step] : [diagonal - step, step];
      order[i++] = 8 * y + x;
    }
  }
  return order;
}
