import type { Tensor } from '../../tensor/tensor.ts';
import { adapterViews, type BlockAdapters } from '../adapter.ts';
import type { Arena } from '../arena.ts';
import type { ProductBlocks } from './modules.ts';
import type { BlockViews } from './weights.ts';

/** Where a backward pass adds gradients, by the names of each block's trained inputs. */
export interface GradientViews {
  /** Null when the embedding is not trained. */
  readonly embedding: Tensor<'f32'> | null; // [V, D]
  readonly layers: readonly BlockViews[];
  readonly head: BlockViews;
  /** Null when there is no vision tower, or nothing of it is trained. */
  readonly vision: VisionGradients | null;
}

/** The vision tower's part of `GradientViews`. */
export interface VisionGradients {
  /** Null when it is not trained. */
  readonly patchEmbed: BlockViews | null;
  readonly blocks: readonly BlockViews[];
  readonly merger: BlockViews;
}

/** The views of an arena of the adapters' gradients; nothing else is trained then. */
export function adapterGradients(
  gradients: Arena,
  { visionBlocks, merger, layers }: ProductBlocks<BlockAdapters>,
): GradientViews {
  const views = (block: BlockAdapters): BlockViews => adapterViews(gradients, block);
  const isSeen = [...visionBlocks, merger].some((block) => block !== null && isAdapted(block));
  return {
    embedding: null,
    layers: layers.map(views),
    head: {},
    vision:
      merger === null || !isSeen
        ? null
        : { patchEmbed: null, blocks: visionBlocks.map(views), merger: views(merger) },
  };
}

function isAdapted({ modules }: BlockAdapters): boolean {
  return modules.length > 0;
}
