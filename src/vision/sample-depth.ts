/** Samples of more than 8 bits, and the levels of 8 bits that they become. */
import type * as t from 'io-ts';
import { oneOf } from '../check/scalars.ts';

/** Numbers of used bits in a 16-bit sample. Scanners deliver these. */
export const BIT_DEPTHS = [8, 10, 12, 14, 16] as const;
export const BitDepth = oneOf(...BIT_DEPTHS);
export type BitDepth = (typeof BIT_DEPTHS)[number];

/** Depth of samples wider than 8 bits: the bits that the largest 16-bit sample uses, or 32. */
export const WideSamples = oneOf(...BIT_DEPTHS, 32);
export type WideSamples = t.TypeOf<typeof WideSamples>;

/** Levels of 8 bits a sample, and the depth of the samples they were made of. */
export interface Levels {
  readonly data: Uint8Array;
  /** Null if the samples have 8 bits. */
  readonly wide: WideSamples | null;
}

/** Layout of pixels. */
interface SampleLayout {
  /** Samples of a pixel. */
  readonly channels: number;
  /** Colours of a pixel, its first samples. Alpha follows and uses all bits. */
  readonly colours: number;
  /** Used bits of a 16-bit colour. */
  readonly bitDepth: BitDepth;
}

/**
 * Converts samples to levels of 8 bits.
 *
 * A 16-bit sample gives the upper 8 of its `bitDepth` bits, and white if it uses more. The range of 32-bit numbers is
 * unknown, so they are clipped to 0 … 255, as in Pillow.
 *
 * @param samples bytes of unsigned integers of 8 or 16 bits, or of floats of 32
 */
export function levelsOf(
  samples: Uint8Array,
  sampleBits: 8 | 16 | 32,
  layout: SampleLayout,
): Levels {
  const { buffer, byteOffset, byteLength } = samples;
  switch (sampleBits) {
    case 8:
      return { data: samples, wide: null };
    case 16:
      return levelsOf16(new Uint16Array(buffer, byteOffset, byteLength / 2), layout);
    case 32: {
      const numbers = new Float32Array(buffer, byteOffset, byteLength / 4);
      const data = Uint8Array.from(numbers, (number) => Math.max(0, Math.min(255, number)));
      return { data, wide: 32 };
    }
    default:
      return sampleBits satisfies never;
  }
}

function levelsOf16(samples: Uint16Array, { channels, colours, bitDepth }: SampleLayout): Levels {
  const data = new Uint8Array(samples.length);
  let bits = 0;
  for (let pixel = 0; pixel < samples.length; pixel += channels) {
    for (let i = 0; i < channels; i++) {
      const sample = samples[pixel + i]!;
      if (i < colours) bits |= sample;
      data[pixel + i] = Math.min(255, sample >> ((i < colours ? bitDepth : 16) - 8));
    }
  }
  return { data, wide: BIT_DEPTHS.find((depth) => bits < 2 ** depth) ?? 16 };
}
