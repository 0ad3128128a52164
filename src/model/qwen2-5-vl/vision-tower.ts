import type { Runtime } from '../../ort/runtime.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Workspace } from '../../tensor/workspace.ts';
import { NO_ADAPTERS, adapterInputs, type BlockAdapters, type GraphAdapters } from '../adapter.ts';
import type { Grid } from '../batch.ts';
import { Block, type Named, type Saved } from '../block.ts';
import { LayerBlocks } from '../layer-blocks.ts';
import {
  consecutive,
  layoutSegments,
  namedSegments,
  wholeSegments,
  type SegmentLayout,
} from '../segments.ts';
import type { VisionConfig } from './config.ts';
import type { VisionGradients } from './gradients.ts';
import type { ProductBlocks } from './modules.ts';
import { visionRotary } from './rotary.ts';
import {
  MERGER_PARAMETERS,
  mergerGraph,
  patchEmbedGraph,
  VISION_BLOCK_PARAMETERS,
  visionBlockGraph,
} from './vision.ts';
import type { VisionViews } from './weights.ts';
import { frameLengths, windowSegments } from './windows.ts';

/** The result of a vision pass and what its backward pass needs. */
export interface VisionPass {
  /** f32 `[N / mergeSize², D]`, one row per image token. */
  readonly embeddings: Tensor<'f32'>;
  /** Patch embedding, blocks, merger, in that order; empty when nothing was kept. */
  readonly saved: readonly Saved[];
}

/** What of the tower is trained, and what is kept for it. */
export interface VisionTowerOptions {
  readonly save: 'needed' | 'inputs';
  /** Null when the weights themselves are. */
  readonly adapters: ProductBlocks<BlockAdapters> | null;
}

/** The vision tower: patches of any number of images to the rows that stand for them in the text. */
export class VisionTower implements Disposable {
  readonly #config: VisionConfig;
  readonly #weights: VisionViews;
  readonly #patchEmbed: Block;
  readonly #blocks: LayerBlocks;
  readonly #merger: Block;

  constructor(
    runtime: Runtime,
    config: VisionConfig,
    weights: VisionViews,
    { save, adapters }: VisionTowerOptions,
  ) {
    this.#config = config;
    this.#weights = weights;
    this.#patchEmbed = new Block(runtime, patchEmbedGraph(config), {
      parameters: ['weight'],
      activations: [],
      save,
    });
    const block = {
      graph: (own: GraphAdapters) => visionBlockGraph(config, own),
      weights: VISION_BLOCK_PARAMETERS,
      activations: ['hidden'],
      save,
    } as const;
    const ofBlocks = adapters?.visionBlocks ?? null;
    this.#blocks = new LayerBlocks(runtime, block, config.depth, ofBlocks);
    const ofMerger = adapters?.merger ?? null;
    this.#merger = new Block(runtime, mergerGraph(config, ofMerger ?? NO_ADAPTERS), {
      parameters: ofMerger === null ? MERGER_PARAMETERS : adapterInputs(ofMerger),
      activations: ['hidden'],
      save,
    });
  }

  /**
   * @param pixelValues f32 `[N, C·Pt·P·P]`, all images' patches
   * @param saving keep what `backward` needs
   */
  forward(
    pixelValues: Tensor<'f32'>,
    grids: readonly Grid[],
    workspace: Workspace,
    saving: boolean,
  ): VisionPass {
    const saved: Saved[] = [];
    const run = (block: Block, inputs: Named): Named => {
      if (!saving) return block.forward(inputs, workspace);
      const result = block.forwardSaving(inputs, workspace);
      saved.push(result.saved);
      return result.outputs;
    };
    const { heads, hiddenSize, mergeSize, fullAttentionBlocks } = this.#config;
    const rotary = visionRotary(grids, hiddenSize / heads, mergeSize);
    const bidirectional = (segments: number[][]): SegmentLayout =>
      layoutSegments(segments, wholeSegments(segments));
    const windows = bidirectional(windowSegments(grids, this.#config));
    const frames = bidirectional(consecutive(frameLengths(grids)));
    let { output: hidden } = run(this.#patchEmbed, {
      patches: pixelValues,
      ...this.#weights.patchEmbed,
    });
    for (const [i, weights] of this.#weights.blocks.entries()) {
      const segments: SegmentLayout = fullAttentionBlocks.includes(i) ? frames : windows;
      ({ output: hidden } = run(this.#blocks.of(i), {
        hidden: hidden!,
        'rotary.cos': rotary.cos,
        'rotary.sin': rotary.sin,
        ...namedSegments(segments),
        ...weights,
      }));
    }
    const { embeddings } = run(this.#merger, { hidden: hidden!, ...this.#weights.merger });
    return { embeddings: embeddings as Tensor<'f32'>, saved };
  }

  /** Adds the tower's gradients to `accumulators`, from those of its embeddings. */
  backward(
    { saved }: VisionPass,
    gradient: Tensor<'f32'>,
    accumulators: VisionGradients,
    workspace: Workspace,
  ): void {
    const merged = this.#merger.backward(
      saved.at(-1)!,
      { embeddings: gradient },
      accumulators.merger,
      workspace,
    );
    let hidden = merged.hidden!;
    for (let i = this.#weights.blocks.length - 1; i >= 0; i--) {
      const results = this.#blocks
        .of(i)
        .backward(saved[i + 1]!, { output: hidden }, accumulators.blocks[i]!, workspace);
      hidden = results.hidden!;
    }
    if (accumulators.patchEmbed === null) return;
    this.#patchEmbed.backward(saved[0]!, { output: hidden }, accumulators.patchEmbed, workspace);
  }

  [Symbol.dispose](): void {
    this.#patchEmbed[Symbol.dispose]();
    this.#blocks[Symbol.dispose]();
    this.#merger[Symbol.dispose]();
  }
}
