import type { Device, View, Views, Workspace } from '../device/device.ts';
import { putAll, staging } from '../device/host-tensors.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import {
  NO_ADAPTERS,
  adapterInputs,
  type BlockAdapters,
  type GraphAdapters,
} from './adapters/adapter.ts';
import type { VisionGraphs } from './architecture.ts';
import type { Grid } from './batch.ts';
import { Block, type Saved } from './block.ts';
import { formFor, type GraphForm } from './graph-form.ts';
import { LayerBlocks } from './layer-blocks.ts';
import type { ModelBlocks } from './weights/model-blocks.ts';
import { segmentTensors, wholeSegments } from './segments.ts';
import { moduleNames, type GradientSink, type WeightSource } from './weights/weight-source.ts';
import type { VisionConfig } from './model-config.ts';
import type { ProductBlocks } from './weights/products.ts';

/** The result of a vision pass and what its backward pass needs. */
export interface VisionPass {
  /** `[N / mergeSize², D]`, one row per image token. */
  readonly embeddings: View;
  /** Patch embedding, blocks, merger, in that order; empty when nothing was kept. */
  readonly saved: readonly Saved[];
}

/** A module that is used, and the one after it where that is known. */
type Turn = readonly [module: string, next?: string | undefined];

/** How the tower computes, whose weights it takes, what of it is trained, and what is kept for it. */
export interface VisionTowerOptions {
  readonly graphs: VisionGraphs;
  readonly blocks: ModelBlocks;
  /** Of the weights and of all rows but the patches. */
  readonly dtype: FloatDType;
  readonly source: WeightSource;
  readonly save: 'needed' | 'inputs';
  /** Null when the weights themselves are trained. */
  readonly adapters: ProductBlocks<BlockAdapters> | null;
}

/** The vision tower: patches of any number of images to the rows that stand for them in the text. */
export class VisionTower implements Disposable {
  readonly #config: VisionConfig;
  readonly #form: GraphForm;
  readonly #graphs: VisionGraphs;
  readonly #source: WeightSource;
  readonly #patchEmbed: Block;
  readonly #blocks: LayerBlocks;
  readonly #merger: Block;

  constructor(
    device: Device,
    config: VisionConfig,
    { graphs, blocks, dtype, source, save, adapters }: VisionTowerOptions,
  ) {
    this.#config = config;
    this.#form = formFor(device);
    this.#graphs = graphs;
    this.#source = source;
    this.#patchEmbed = new Block(device, graphs.patchEmbed(config, dtype), {
      parameters: ['weight'],
      activations: [],
      save,
    });
    const block = {
      graph: (own: GraphAdapters) => graphs.block(config, own, dtype, this.#form),
      weights: Object.keys(blocks.visionBlocks[0]?.inputs ?? {}),
      activations: ['hidden'],
      save,
    } as const;
    const ofBlocks = adapters?.visionBlocks ?? null;
    this.#blocks = new LayerBlocks(device, block, config.depth, ofBlocks);
    const ofMerger = adapters?.merger ?? null;
    this.#merger = new Block(device, graphs.merger(config, ofMerger ?? NO_ADAPTERS, dtype), {
      parameters:
        ofMerger === null ? Object.keys(blocks.merger?.inputs ?? {}) : adapterInputs(ofMerger),
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
    const run = async (block: Block, [module, next]: Turn, inputs: Views): Promise<Views> => {
      using weights = await this.#source.take(module, next);
      if (!saving) return block.forward(inputs, weights.views, workspace);
      const result = block.forwardSaving(inputs, weights.views, workspace);
      saved.push(result.saved);
      return result.outputs;
    };
    const { rotary, segments } = this.#graphs.plan(this.#config, grids);
    const angles = putAll(workspace, { 'rotary.cos': rotary.cos, 'rotary.sin': rotary.sin });
    const allocate = staging(pixelValues.device, workspace);
    const attention = new Map(
      [...new Set(segments)].map((rows) => [
        rows,
        putAll(workspace, segmentTensors(this.#form, rows, wholeSegments(rows), 1, allocate)),
      ]),
    );
    let { output: hidden } = await run(
      this.#patchEmbed,
      [moduleNames.patchEmbed, moduleNames.visionBlock(0)],
      {
        patches: pixelValues,
      },
    );
    for (const [i, rows] of segments.entries()) {
      const next = i + 1 < segments.length ? moduleNames.visionBlock(i + 1) : moduleNames.merger;
      ({ output: hidden } = await run(this.#blocks.of(i), [moduleNames.visionBlock(i), next], {
        hidden: hidden!,
        ...angles,
        ...attention.get(rows),
      }));
    }
    const { embeddings } = await run(this.#merger, [moduleNames.merger], { hidden: hidden! });
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
      [module, next]: Turn,
      from: Saved,
      outputGradients: Views,
    ): Promise<Views> => {
      using weights = await this.#source.take(module, next);
      using accumulators = await sink.take(module);
      return block.backward(from, weights.views, outputGradients, accumulators.views, workspace);
    };
    const isWhole = sink.trained.has(moduleNames.patchEmbed);
    const last = moduleNames.visionBlock(this.#config.depth - 1);
    let { hidden } = await run(this.#merger, [moduleNames.merger, last], saved.at(-1)!, {
      embeddings: gradient,
    });
    for (let i = this.#config.depth - 1; i >= 0; i--) {
      const first = isWhole ? moduleNames.patchEmbed : undefined;
      const turn = [
        moduleNames.visionBlock(i),
        i > 0 ? moduleNames.visionBlock(i - 1) : first,
      ] as const;
      ({ hidden } = await run(this.#blocks.of(i), turn, saved[i + 1]!, {
        output: hidden!,
      }));
    }
    if (!isWhole) return;
    await run(this.#patchEmbed, [moduleNames.patchEmbed], saved[0]!, { output: hidden! });
  }

  [Symbol.dispose](): void {
    this.#patchEmbed[Symbol.dispose]();
    this.#blocks[Symbol.dispose]();
    this.#merger[Symbol.dispose]();
  }
}
