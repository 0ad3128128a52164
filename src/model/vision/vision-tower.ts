import type { Device, View, Views, Workspace } from '../../device/device.ts';
import { putAll, staging } from '../../device/host-tensors.ts';
import { sharedByLayers } from '../adapters/adapter.ts';
import type { Graph } from '../../graph/ir.ts';
import type { Grid } from '../../tensor/patch-levels.ts';
import { Block, type BlockOptions, type Saved } from '../block.ts';
import { formFor, type GraphForm } from '../graph-form.ts';
import type { VisionConfig } from '../model-config.ts';
import { trainedInputs, type ModelWeights } from '../model-weights.ts';
import { segmentTensors, wholeSegments } from '../segments.ts';
import { moduleNames } from '../weights/modules.ts';
import type { GradientSink, WeightSource } from '../weights/weight-source.ts';
import { patchEmbedGraph } from './patch-embed.ts';
import { visionPlan } from './plan.ts';
import type { TowerTraits } from './tower-weights.ts';
import { blockGraph, mergerGraph } from './tower.ts';

/** Result of a vision pass, and tensors for its backward pass. */
export interface VisionPass {
  /** Embeddings `[N / mergeSize², D]`, one row per image token. */
  readonly embeddings: View;
  /** Rows like these for each of the decoder's first layers, to be added to its output. */
  readonly deepstack: readonly View[];
  /** Saved tensors of the tower's steps, in order; empty when nothing was saved. */
  readonly saved: readonly Saved[];
}

/** A step of the tower: a module's block, from `patches` or `hidden` to `output`. */
interface Step {
  readonly module: string;
  readonly block: Block;
  /** Number of the decoder's layer that its `features` are for; left out for a step without any. */
  readonly layer?: number;
  /** Number of the vision block whose rotary angles and segments it takes; left out for none. */
  readonly attends?: number;
}

/** Saved tensors of a step without a backward pass: none. */
const NOTHING_SAVED: Saved = { inputs: {}, tensors: {} };

/** The vision tower: from patches of any number of images to the rows that take the place of their tokens. */
export class VisionTower implements Disposable {
  readonly #config: VisionConfig;
  readonly #form: GraphForm;
  readonly #source: WeightSource;
  /** Patch embedding, blocks with the mergers after some of them, and the last merger. */
  readonly #steps: readonly Step[];
  readonly #trainsPatches: boolean;
  readonly #owned = new DisposableStack();

  constructor(
    device: Device,
    config: VisionConfig,
    traits: TowerTraits,
    weights: ModelWeights,
    save: BlockOptions['save'],
  ) {
    const { dtype, adapters } = weights;
    const { patchEmbed, merger, visionBlock, deepstack } = moduleNames;
    this.#config = config;
    this.#form = formFor(device);
    this.#source = weights.source;
    this.#trainsPatches = trainedInputs(weights, patchEmbed).length > 0;
    const make = (module: string, graph: Graph, activations = ['hidden']): Block =>
      this.#owned.use(
        new Block(device, graph, { parameters: trainedInputs(weights, module), activations, save }),
      );
    const names = Array.from({ length: config.depth }, (_, i) => visionBlock(i));
    const layers = names.map((name) => ({ name, config }));
    const blocks = sharedByLayers(layers, adapters, (_, own, name) =>
      make(name, blockGraph(traits, config, own, dtype, this.#form)),
    );
    const aside = (block: number): Step[] => {
      const layer = config.deepstackBlocks.indexOf(block);
      if (layer < 0) return [];
      const module = deepstack(layer);
      const graph = mergerGraph(traits, config, adapters?.get(module), dtype, 'after');
      return [{ module, block: make(module, graph), layer }];
    };
    this.#steps = [
      { module: patchEmbed, block: make(patchEmbed, patchEmbedGraph(config, dtype), []) },
      ...names.flatMap((module, i) => [{ module, block: blocks[i]!, attends: i }, ...aside(i)]),
      {
        module: merger,
        block: make(merger, mergerGraph(traits, config, adapters?.get(merger), dtype)),
      },
    ];
  }

  /**
   * Computes the embeddings of images.
   *
   * @param pixelValues patches of all images, f32 `[N, C·Pt·P·P]`
   * @param saving whether tensors are saved for `backward`
   */
  async forward(
    pixelValues: View,
    grids: readonly Grid[],
    workspace: Workspace,
    saving: boolean,
  ): Promise<VisionPass> {
    const { patchInputs, blocks } = this.#planned(pixelValues.device, grids, workspace);
    const saved: Saved[] = [];
    const deepstack: View[] = [];
    let hidden = pixelValues;
    for (const [i, step] of this.#steps.entries()) {
      const { module, block, layer, attends } = step;
      using weights = await this.#source.take(module, this.#steps[i + 1]?.module);
      const others = attends === undefined ? patchInputs : blocks[attends];
      const inputs = { patches: pixelValues, hidden, ...others };
      let outputs: Views;
      // With adapters the patch embedding has nothing to train, and nothing before it either.
      if (saving && (i > 0 || this.#trainsPatches)) {
        const result = block.forwardSaving(inputs, weights.views, workspace);
        saved.push(result.saved);
        outputs = result.outputs;
      } else {
        outputs = block.forward(inputs, weights.views, workspace);
        if (saving) saved.push(NOTHING_SAVED);
      }
      hidden = outputs['output']!;
      if (layer !== undefined) deepstack[layer] = outputs['features']!;
    }
    return { embeddings: hidden, deepstack, saved };
  }

  /** The planned inputs of the patch embedding, and of each block its rotary angles and segments. */
  #planned(device: Device, grids: readonly Grid[], workspace: Workspace) {
    const { patchInputs, rotary, segments } = visionPlan(this.#config, grids);
    const angles = putAll(workspace, { 'rotary.cos': rotary.cos, 'rotary.sin': rotary.sin });
    const allocate = staging(device, workspace);
    const attention = new Map(
      [...new Set(segments)].map((rows) => [
        rows,
        putAll(workspace, segmentTensors(this.#form, rows, wholeSegments(rows), 1, allocate)),
      ]),
    );
    return {
      patchInputs: putAll(workspace, patchInputs),
      blocks: segments.map((rows): Views => ({ ...angles, ...attention.get(rows) })),
    };
  }

  /**
   * Adds the tower's gradients to the sink.
   *
   * @param gradient   of the embeddings
   * @param deepstack of the rows for the decoder's layers
   */
  async backward(
    { saved }: VisionPass,
    { gradient, deepstack }: { readonly gradient: View; readonly deepstack: readonly View[] },
    sink: GradientSink,
    workspace: Workspace,
  ): Promise<void> {
    const first = sink.trained.has(moduleNames.patchEmbed) ? 0 : 1;
    let outputGradient = gradient;
    for (let i = this.#steps.length - 1; i >= first; i--) {
      const { module, block, layer } = this.#steps[i]!;
      using weights = await this.#source.take(
        module,
        i > first ? this.#steps[i - 1]!.module : undefined,
      );
      using accumulators = await sink.take(module);
      const features = layer === undefined ? {} : { features: deepstack[layer]! };
      const given = { output: outputGradient, ...features };
      const { views: sums } = accumulators;
      const results = block.backward(saved[i]!, weights.views, given, sums, workspace);
      outputGradient = results['hidden']!;
    }
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
