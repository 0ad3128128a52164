/** Patch rows of pixels, either as values or as 8-bit levels that are still to be normalised. */
import { rows, sizeOf, zeros, type Allocate, type Tensor } from './tensor.ts';

/** Patches of an image or a video along time, height and width. */
export type Grid = readonly [t: number, h: number, w: number];

/** Number of levels of 8 bits. */
export const LEVELS = 256;

/**
 * Patch rows of 8-bit pixels before normalisation: the level of each pixel, and the value of each level of a channel.
 *
 * Levels take a quarter of the bytes of values, an eighth for a picture that stands still, and a third of that for a
 * grey one.
 */
export interface PatchLevels {
  /** Levels, u8 `[N, C, F, P·P]`. C is 1 where all channels are alike, and F is 1 where all frames are. */
  readonly levels: Tensor<'u8'>;
  /** Values of the levels, f32 `[channels, 256]`. */
  readonly values: Tensor<'f32'>;
  /** Frames of a patch along time, even where `levels` has only one. */
  readonly frames: number;
}

/** Patch rows f32 `[N, C·Pt·P·P]`, as values or as levels to look up. */
export type PixelValues = Tensor<'f32'> | PatchLevels;

/** True if pixels are levels. */
export function isLevels(pixels: PixelValues): pixels is PatchLevels {
  return 'levels' in pixels;
}

/** True if two pixels are the same tensors, not merely equal ones. */
export function areSamePixels(a: PixelValues | null, b: PixelValues | null): boolean {
  if (a === null || b === null) return a === b;
  return isLevels(a) ? isLevels(b) && a.levels === b.levels : a === b;
}

/** The shape `[N, C·Pt·P·P]` of patch rows. */
function patchShape(pixels: PixelValues): readonly [rows: number, width: number] {
  if (!isLevels(pixels)) return [pixels.shape[0]!, pixels.shape[1]!];
  const [count = 0, , , area = 0] = pixels.levels.shape;
  return [count, pixels.values.shape[0]! * pixels.frames * area];
}

/** Rows `start` to `end` of pixels, without a copy. */
export function pixelRows(pixels: PixelValues, start: number, end: number): PixelValues {
  return isLevels(pixels)
    ? { ...pixels, levels: rows(pixels.levels, start, end) }
    : rows(pixels, start, end);
}

/** Size of patch rows in their present form, in bytes. */
export function patchBytes(pixels: PixelValues): number {
  return isLevels(pixels) ? pixels.levels.data.byteLength : pixels.data.byteLength;
}

/**
 * Stacks parts as values, f32 `[N, C·Pt·P·P]`; null without parts.
 *
 * @param allocate allocates them
 */
export function patchValues(
  parts: readonly PixelValues[],
  allocate: Allocate = zeros,
): Tensor<'f32'> | null {
  const [first] = parts;
  if (first === undefined) return null;
  if (parts.length === 1 && !isLevels(first)) return first;
  const height = parts.reduce((sum, part) => sum + patchShape(part)[0], 0);
  const result = allocate('f32', [height, patchShape(first)[1]]);
  let at = 0;
  for (const part of parts) {
    const values = result.data.subarray(at, (at += sizeOf(patchShape(part))));
    if (isLevels(part)) lookUp(part, values);
    else values.set(part.data);
  }
  return result;
}

function lookUp({ levels, values, frames }: PatchLevels, output: Float32Array): void {
  const [count = 0, kept = 1, moving = 1, area = 0] = levels.shape;
  const input = levels.data;
  const channels = values.shape[0]!;
  const tables = Array.from({ length: channels }, (_, channel) =>
    values.data.subarray(channel * LEVELS, (channel + 1) * LEVELS),
  );
  const size = moving * area;
  for (let row = 0, to = 0; row < count; row++) {
    for (let channel = 0; channel < channels; channel++, to += frames * area) {
      const table = tables[channel]!;
      const from = (row * kept + (kept === 1 ? 0 : channel)) * size;
      for (let i = 0; i < size; i++) output[to + i] = table[input[from + i]!]!;
      for (let frame = moving; frame < frames; frame += moving) {
        output.copyWithin(to + frame * area, to, to + size);
      }
    }
  }
}

/**
 * Stacks parts: as levels where all are levels of one kind, else as values. One part is returned as it is, none as null.
 *
 * @param allocate allocates what they are stacked in
 */
export function stackPixels(
  parts: readonly PixelValues[],
  allocate: Allocate = zeros,
): PixelValues | null {
  const levels = parts.filter(isLevels);
  const [first] = levels;
  const areAlike = levels.every((part) => first !== undefined && areOfOneKind(first, part));
  return levels.length === parts.length && areAlike
    ? stackLevels(levels, allocate)
    : patchValues(parts, allocate);
}

function areOfOneKind(a: PatchLevels, b: PatchLevels): boolean {
  const isShapeAlike = a.levels.shape[2] === b.levels.shape[2] && a.frames === b.frames;
  return isShapeAlike && a.values.data.every((value, i) => value === b.values.data[i]);
}

/**
 * Stacks levels of images. One part is returned as it is, none as null.
 *
 * @param parts come from one processor: their values are the same, and all of them move or none
 * @param allocate allocates what they are stacked in
 */
export function stackLevels(
  parts: readonly PatchLevels[],
  allocate: Allocate = zeros,
): PatchLevels | null {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first ?? null;
  const channels = Math.max(...parts.map(({ levels }) => levels.shape[1]!));
  const [, , moving = 1, area = 0] = first.levels.shape;
  const height = parts.reduce((sum, { levels }) => sum + levels.shape[0]!, 0);
  const stacked = allocate('u8', [height, channels, moving, area]);
  const size = moving * area;
  let at = 0;
  for (const { levels } of parts) {
    const repeats = channels / levels.shape[1]!;
    for (let from = 0; from < levels.data.length; from += size) {
      const plane = levels.data.subarray(from, from + size);
      for (let i = 0; i < repeats; i++, at += size) stacked.data.set(plane, at);
    }
  }
  return { ...first, levels: stacked };
}
