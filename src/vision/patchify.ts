import { LEVELS, type Grid, type PatchLevels } from '../tensor/patch-levels.ts';
import { tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import { channelsOf, type PlainImage } from './decoded-image.ts';
import { patchFunctions, type PatchKernels } from './patch-kernels.ts';
import { WasmKernels } from './wasm-kernels.ts';

/** Sizes by which pixels become patch rows, and their normalisation. */
export interface PatchLayout {
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly mergeSize: number;
  /** Mean of each channel, of pixel values scaled to [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** Allocates levels of a shape, with any content. */
export type LevelMemory = (shape: readonly number[]) => Tensor<'u8'>;

/** Rows of a frame in the kernels' memory, as many as one row of merge blocks takes. */
interface Band {
  readonly address: number;
  readonly rowBytes: number;
  readonly channels: 1 | 3;
}

const RGB = ['red', 'green', 'blue'] as const;

/** Cuts frames into patch rows `[N, 3 · Pt · P · P]`, kept as levels of 8 bits, as Qwen2-VL's processor orders them. */
export class Patchifier {
  readonly #layout: PatchLayout;
  readonly #values: Tensor<'f32'>;
  readonly #allocate: LevelMemory;
  readonly #kernels = new WasmKernels<PatchKernels>(patchFunctions);

  constructor(layout: PatchLayout, allocate: LevelMemory = (shape) => zeros('u8', shape)) {
    this.#layout = layout;
    this.#values = levelValues(layout);
    this.#allocate = allocate;
  }

  /**
   * Patch rows of frames.
   *
   * Rows are ordered by time, then by merge block (block row, block column), then by row and column in the block, so
   * the patches that are merged into one token are neighbours. A row is ordered channel, time, y, x.
   *
   * @param frames frames of one size whose sides are multiples of patchSize · mergeSize. Their number is a multiple of
   *   temporalPatchSize. A still image is one frame repeated
   */
  patchify(frames: readonly PlainImage[]): { pixelValues: PatchLevels; grid: Grid } {
    const { patchSize, temporalPatchSize, mergeSize } = this.#layout;
    const { width, height } = frames[0]!;
    const gridTime = frames.length / temporalPatchSize;
    const gridHeight = height / patchSize;
    const gridWidth = width / patchSize;
    const isStill = frames.every((frame, i) => frame === frames[i - (i % temporalPatchSize)]);
    const moving = isStill ? 1 : temporalPatchSize;
    const channels = Math.max(...frames.map(channelsOf));
    const shape = [gridTime * gridHeight * gridWidth, channels, moving, patchSize ** 2];
    const levels = this.#allocate(shape);
    const bandRows = mergeSize * patchSize;
    const bandBytes = bandRows * width * channels;
    const memory = this.#kernels.layOut({
      frames: moving * bandBytes,
      patches: moving * bandBytes,
    });
    const { bytes, at } = memory;
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
        const end = this.#cutBand(memory.kernels, bands, at.patches, { width, channels });
        levels.data.set(bytes.subarray(at.patches, end), done);
        done += end - at.patches;
      }
    }
    const pixelValues = { levels, values: this.#values, frames: temporalPatchSize };
    return { pixelValues, grid: [gridTime, gridHeight, gridWidth] };
  }

  /** Cuts one row of merge blocks, of all frames of a patch. @returns address behind the last patch */
  #cutBand(
    kernels: PatchKernels,
    bands: readonly Band[],
    start: number,
    { width, channels }: { readonly width: number; readonly channels: number },
  ): number {
    const { patchSize, mergeSize } = this.#layout;
    let to = start;
    for (let block = 0; block < width; block += mergeSize * patchSize) {
      for (let cell = 0; cell < mergeSize * mergeSize; cell++) {
        const y = Math.floor(cell / mergeSize) * patchSize;
        const x = block + (cell % mergeSize) * patchSize;
        for (let channel = 0; channel < channels; channel++) {
          for (const { address, rowBytes, channels: own } of bands) {
            const cut = own === 1 ? kernels.grey : kernels[RGB[channel]!];
            cut(address + y * rowBytes + x * own, to, rowBytes, patchSize);
            to += patchSize ** 2;
          }
        }
      }
    }
    return to;
  }
}

/** Normalised values of the 256 levels of each channel, f32 `[3, 256]`. */
function levelValues({ mean, std }: PatchLayout): Tensor<'f32'> {
  const values = Array.from({ length: 3 * LEVELS }, (_, i) => {
    const channel = Math.floor(i / LEVELS);
    return ((i % LEVELS) / 255 - mean[channel]!) / std[channel]!;
  });
  return tensorOf('f32', [3, LEVELS], values);
}
