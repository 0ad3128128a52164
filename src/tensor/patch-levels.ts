import { rows, sizeOf, zeros, type Tensor } from './tensor.ts';

/** Levels that 8 bits tell apart. */
export const LEVELS = 256;

/**
 * Patch rows of 8-bit pixels before they are normalised: the level of each pixel, and what the levels of a channel are
 * worth. A quarter of the bytes of their values; an eighth for a picture that stands still, less again for a grey one.
 */
export interface PatchLevels {
  /** u8 `[N, C, F, P·P]`; C is 1 where all channels are alike, and F is 1 where all frames are. */
  readonly levels: Tensor<'u8'>;
  /** f32 `[channels, 256]` */
  readonly values: Tensor<'f32'>;
  /** Frames along time of a patch, however many of them `levels` has. */
  readonly frames: number;
}

/** Patch rows f32 `[N, C·Pt·P·P]`, as their values or as levels still to be looked up. */
export type PixelValues = Tensor<'f32'> | PatchLevels;

/** Whether they are levels. */
export function isLevels(pixels: PixelValues): pixels is PatchLevels {
  return 'levels' in pixels;
}

/** Whether these are the same tensors; two of equal numbers are not. */
export function areSamePixels(a: PixelValues | null, b: PixelValues | null): boolean {
  if (a === null || b === null) return a === b;
  return isLevels(a) ? isLevels(b) && a.levels === b.levels : a === b;
}

/** The shape `[N, C·Pt·P·P]` of patch rows. */
export function patchShape(pixels: PixelValues): readonly [rows: number, width: number] {
  if (!isLevels(pixels)) return [pixels.shape[0]!, pixels.shape[1]!];
  const [count = 0, , , area = 0] = pixels.levels.shape;
  return [count, pixels.values.shape[0]! * pixels.frames * area];
}

/** Rows `start` to `end` of pixels; no copy. */
export function pixelRows(pixels: PixelValues, start: number, end: number): PixelValues {
  return isLevels(pixels)
    ? { ...pixels, levels: rows(pixels.levels, start, end) }
    : rows(pixels, start, end);
}

/** Bytes that patch rows take up as they are. */
export function patchBytes(pixels: PixelValues): number {
  return isLevels(pixels) ? pixels.levels.data.byteLength : pixels.data.byteLength;
}

/**
 * The values of patch rows, one part below the other: f32 `[N, C·Pt·P·P]`; null of no parts.
 *
 * @param allocate gives memory for them, whatever it held before
 */
export function patchValues(
  parts: readonly PixelValues[],
  allocate = (shape: readonly number[]): Tensor<'f32'> => zeros('f32', shape),
): Tensor<'f32'> | null {
  const [first] = parts;
  if (first === undefined) return null;
  if (parts.length === 1 && !isLevels(first)) return first;
  const height = parts.reduce((sum, part) => sum + patchShape(part)[0], 0);
  const result = allocate([height, patchShape(first)[1]]);
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

/** Pixels one below the other: levels where all are levels of one kind, else values; null of none, and of one itself. */
export function stackPixels(parts: readonly PixelValues[]): PixelValues | null {
  const levels = parts.filter(isLevels);
  const [first] = levels;
  const areAlike = levels.every((part) => first !== undefined && areOfOneKind(first, part));
  return levels.length === parts.length && areAlike ? stackLevels(levels) : patchValues(parts);
}

function areOfOneKind(a: PatchLevels, b: PatchLevels): boolean {
  const isShapeAlike = a.levels.shape[2] === b.levels.shape[2] && a.frames === b.frames;
  return isShapeAlike && a.values.data.every((value, i) => value === b.values.data[i]);
}

/**
 * Levels of images one below the other; null of none, and of one itself.
 *
 * @param parts of one processor: their values are the same, and either all of them move or none
 */
export function stackLevels(parts: readonly PatchLevels[]): PatchLevels | null {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first ?? null;
  const channels = Math.max(...parts.map(({ levels }) => levels.shape[1]!));
  const [, , moving = 1, area = 0] = first.levels.shape;
  const height = parts.reduce((sum, { levels }) => sum + levels.shape[0]!, 0);
  const stacked = zeros('u8', [height, channels, moving, area]);
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
