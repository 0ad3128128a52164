import type * as t from 'io-ts';
import { oneOf } from '../config/codec.ts';

/** How many bits of a 16-bit sample hold something, as scanners have them. */
export const BIT_DEPTHS = [8, 10, 12, 14, 16] as const;
export const BitDepth = oneOf(...BIT_DEPTHS);
export type BitDepth = (typeof BIT_DEPTHS)[number];

/** Samples of more than 8 bits that became levels: the bits that the largest of 16 takes, or 32. */
export const WideSamples = oneOf(...BIT_DEPTHS, 32);
export type WideSamples = t.TypeOf<typeof WideSamples>;

/** Levels, 8 bits a sample, and what they were made of: null where that is 8 bits too. */
export interface Levels {
  readonly data: Uint8Array;
  readonly wide: WideSamples | null;
}

/** How samples lie, and what those of 16 bits hold. */
interface SampleLayout {
  /** Samples of a pixel. */
  readonly channels: number;
  /** How many of them are colours, which come first; what follows has all of its bits. */
  readonly colours: number;
  readonly bitDepth: BitDepth;
}

/**
 * Levels of samples: of 16 bits the upper 8 of `bitDepth`, white where one takes more; numbers of 32 bits, whose range no
 * file tells, clipped to 0 … 255, as Pillow clips them.
 *
 * @param samples the bytes of integers, of 32 bits those of floats
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
