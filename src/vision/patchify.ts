import { LEVELS, type PatchLevels } from '../tensor/patch-levels.ts';
import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import { channelsOf, type PlainImage } from './decoded-image.ts';
import { patchFunctions, type PatchKernels } from './patch-kernels.ts';
import { WasmBench } from './wasm-bench.ts';

/** Patches along time, height and width. */
export type Grid = readonly [t: number, h: number, w: number];

/** How pixels become patch rows. */
export interface PatchLayout {
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly mergeSize: number;
  /** Per channel, of pixel values scaled to [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** Memory for levels of that shape. */
export type LevelMemory = (shape: readonly number[]) => Tensor<'u8'>;

/**
 * Patch rows of frames, `[N, 3 · Pt · P · P]`, as levels.
 *
 * Rows go by time, then by merge block (block row, block column), then row and column within the block, so that the
 * patches merged into one token are neighbours. A row is channel, time, y, x.
 *
 * @param frames of one size, whose sides are multiples of patchSize · mergeSize; their number is one of
 *   temporalPatchSize. A still image is a frame repeated
 * @param values   what levels are worth, f32 `[3, 256]`
 * @param allocate gives memory for the levels, whatever it held before
 */
export function patchify(
  frames: readonly PlainImage[],
  layout: PatchLayout,
  values = levelValues(layout),
  allocate: LevelMemory = (shape) => zeros('u8', shape),
): { pixelValues: PatchLevels; grid: Grid } {
  const { patchSize, temporalPatchSize, mergeSize } = layout;
  const { width, height } = frames[0]!;
  const gridTime = frames.length / temporalPatchSize;
  const gridHeight = height / patchSize;
  const gridWidth = width / patchSize;
  const isStill = frames.every((frame, i) => frame === frames[i - (i % temporalPatchSize)]);
  const moving = isStill ? 1 : temporalPatchSize;
  const channels = Math.max(...frames.map(channelsOf));
  const area = patchSize ** 2;
  const levels = allocate([gridTime * gridHeight * gridWidth, channels, moving, area]);
  const bandRows = mergeSize * patchSize;
  const bandBytes = bandRows * width * channels;
  const { kernels, bytes, at } = bench.layOut({
    frames: moving * bandBytes,
    patches: moving * bandBytes,
  });
  let done = 0;
  for (let first = 0; first < frames.length; first += temporalPatchSize) {
    const group = frames.slice(first, first + moving);
    for (let top = 0; top < height; top += bandRows) {
      const bands = group.map((frame, time): Band => {
        const address = at.frames + time * bandBytes;
        const rowBytes = width * channelsOf(frame);
        bytes.set(frame.data.subarray(top * rowBytes, (top + bandRows) * rowBytes), address);
        return { address, rowBytes, channels: channelsOf(frame) };
      });
      let to = at.patches;
      for (let block = 0; block < width; block += bandRows) {
        for (let cell = 0; cell < mergeSize * mergeSize; cell++) {
          const y = Math.floor(cell / mergeSize) * patchSize;
          const x = block + (cell % mergeSize) * patchSize;
          for (let channel = 0; channel < channels; channel++) {
            for (const { address, rowBytes, channels: own } of bands) {
              const cut = own === 1 ? kernels.grey : kernels[RGB[channel]!];
              cut(address + y * rowBytes + x * own, to, rowBytes, patchSize);
              to += area;
            }
          }
        }
      }
      levels.data.set(bytes.subarray(at.patches, to), done);
      done += to - at.patches;
    }
  }
  const pixelValues = { levels, values, frames: temporalPatchSize };
  return { pixelValues, grid: [gridTime, gridHeight, gridWidth] };
}

/** Rows of a frame in the memory of the kernels, as many as a row of merge blocks takes. */
interface Band {
  readonly address: number;
  readonly rowBytes: number;
  readonly channels: 1 | 3;
}

const RGB = ['red', 'green', 'blue'] as const;

const bench = new WasmBench<PatchKernels>(patchFunctions);

/** The normalised values of the 256 levels of each channel, f32 `[3, 256]`. */
export function levelValues({ mean, std }: PatchLayout): Tensor<'f32'> {
  const values = Array.from({ length: 3 * LEVELS }, (_, i) => {
    const channel = Math.floor(i / LEVELS);
    return ((i % LEVELS) / 255 - mean[channel]!) / std[channel]!;
  });
  return tensorOf('f32', [3, LEVELS], values);
}
