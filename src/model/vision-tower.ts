import type { Device, View, Views, Workspace } from '../device/device.ts';
import { putAll } from '../device/host-tensors.ts';
import { NO_ADAPTERS, adapterInputs, type BlockAdapters, type GraphAdapters } from './adapter.ts';
import type { Grid } from './batch.ts';
import { Block, type Saved } from './block.ts';
import { LayerBlocks } from './layer-blocks.ts';
import { consecutive, layoutSegments, namedSegments, wholeSegments } from './segments.ts';
import { moduleNames, type GradientSink, type WeightSource } from './weight-source.ts';
import type { VisionConfig } from './model-config.ts';
import type { ProductBlocks } from './products.ts';
import { visionRotary } from './qwen2-5-vl/vision-rotary.ts';
import {
  MERGER_PARAMETERS,
  mergerGraph,
  patchEmbedGraph,
  VISION_BLOCK_PARAMETERS,
  visionBlockGraph,
} from './qwen2-5-vl/vision.ts';
import { frameLengths, windowSegments } from './qwen2-5-vl/windows.ts';

/** The result of a vision pass and what its backward pass needs. */
export interface VisionPass {
  /** `[N / mergeSize², D]`, one row per image token. */
  readonly embeddings: View;
  /** Patch embedding, blocks, merger, in that order; empty when nothing was kept. */
  readonly saved: readonly Saved[];
}

/** Whose weights the tower takes, what of it is trained, and what is kept for it. */
export interface VisionTowerOptions {
  readonly source: WeightSource;
  readonly save: 'needed' | 'inputs';
  /** Null when the weights themselves are trained. */
  readonly adapters: ProductBlocks<BlockAdapters> | null;
}

/** The vision tower: patches of any number of images to the rows that stand for them in the text. */
export class VisionTower implements Disposable {
  readonly #config: VisionConfig;
  readonly #source: WeightSource;
  readonly #patchEmbed: Block;
  readonly #blocks: LayerBlocks;
  readonly #merger: Block;

  constructor(
    device: Device,
    config: VisionConfig,
    { source, save, adapters }: VisionTowerOptions,
  ) {
    this.#config = config;
    this.#source = source;
    this.#patchEmbed = new Block(device, patchEmbedGraph(config), {
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
    this.#blocks = new LayerBlocks(device, block, config.depth, ofBlocks);
    const ofMerger = adapters?.merger ?? null;
    this.#merger = new Block(device, mergerGraph(config, ofMerger ?? NO_ADAPTERS), {
      parameters: ofMerger === null ? MERGER_PARAMETERS : adapterInputs(ofMerger),
      activations: ['hidden'],
      save,
    });
  }

  /**
   * @param pixelValues f32 `[N, C·Pt·P·P]`, all images' patches
   * @param saving keep what `backward` needs
   */
  async forward(
    pixelValues: View,
    grids: readonly Grid[],
    workspace: Workspace,
    saving: boolean,
  ): Promise<VisionPass> {
    const saved: Saved[] = [];
    const run = async (block: Block, module: string, inputs: Views): Promise<Views> => {
      using weights = await this.#source.take(module);
      if (!saving) return block.forward(inputs, weights.views, workspace);
      const result = block.forwardSaving(inputs, weights.views, workspace);
      saved.push(result.saved);
      return result.outputs;
    };
    const { heads, hiddenSize, mergeSize, fullAttentionBlocks, depth } = this.#config;
    const { cos, sin } = visionRotary(grids, hiddenSize / heads, mergeSize);
    const rotary = putAll(workspace, { 'rotary.cos': cos, 'rotary.sin': sin });
    const bidirectional = (segments: number[][]): Views =>
      putAll(workspace, namedSegments(layoutSegments(segments, wholeSegments(segments))));
    const windows = bidirectional(windowSegments(grids, this.#config));
    const frames = bidirectional(consecutive(frameLengths(grids)));
    let { output: hidden } = await run(this.#patchEmbed, moduleNames.patchEmbed, {
      patches: pixelValues,
    });
    for (let i = 0; i < depth; i++) {
      const segments = fullAttentionBlocks.includes(i) ? frames : windows;
      ({ output: hidden } = await run(this.#blocks.of(i), moduleNames.visionBlock(i), {
        hidden: hidden!,
        ...rotary,
        ...segments,
      }));
    }
    const { embeddings } = await run(this.#merger, moduleNames.merger, { hidden: hidden! });
    return { embeddings: embeddings!, saved };
  }

  /** Adds the tower's gradients to what the sink gives for them, from those of its embeddings. */
  async backward(
    { saved }: VisionPass,
    gradient: View,
    sink: GradientSink,
    workspace: Workspace,
  ): Promise<void> {
    const run = async (
      block: Block,
      module: string,
      from: Saved,
      outputGradients: Views,
    ): Promise<Views> => {
      using weights = await this.#source.take(module);
      using accumulators = await sink.take(module);
      return block.backward(from, weights.views, outputGradients, accumulators.views, workspace);
    };
    let { hidden } = await run(this.#merger, moduleNames.merger, saved.at(-1)!, {
      embeddings: gradient,
    });
    for (let i = this.#config.depth - 1; i >= 0; i--) {
      ({ hidden } = await run(this.#blocks.of(i), moduleNames.visionBlock(i), saved[i + 1]!, {
        output: hidden!,
      }));
    }
    if (!sink.trained.has(moduleNames.patchEmbed)) return;
    await run(this.#patchEmbed, moduleNames.patchEmbed, saved[0]!, { output: hidden! });
  }

  [Symbol.dispose](): void {
    this.#patchEmbed[Symbol.dispose]();
    this.#blocks[Symbol.dispose]();
    this.#merger[Symbol.dispose]();
  }
}
