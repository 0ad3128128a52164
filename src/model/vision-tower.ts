import type { Device, View, Views, Workspace } from '../device/device.ts';
import { putAll, staging } from '../device/host-tensors.ts';
import { NO_ADAPTERS, type GraphAdapters } from './adapters/adapter.ts';
import type { VisionGraphs } from './architecture.ts';
import type { Grid } from './batch.ts';
import { Block, type BlockOptions, type Saved } from './block.ts';
import { formFor, type GraphForm } from './graph-form.ts';
import { LayerBlocks } from './layer-blocks.ts';
import type { VisionConfig } from './model-config.ts';
import { trainedInputs, type ModelWeights } from './model-weights.ts';
import { segmentTensors, wholeSegments } from './segments.ts';
import { moduleNames } from './weights/modules.ts';
import type { GradientSink, WeightSource } from './weights/weight-source.ts';

/** Result of a vision pass, and tensors for its backward pass. */
export interface VisionPass {
  /** Embeddings `[N / mergeSize², D]`, one row per image token. */
  readonly embeddings: View;
  /** Saved tensors of patch embedding, blocks and merger, in that order; empty when nothing was saved. */
  readonly saved: readonly Saved[];
}

/** A step of the tower: a module's block, and the names of its activations. */
interface Step {
  readonly module: string;
  readonly block: Block;
  readonly input: 'patches' | 'hidden';
  readonly output: 'output' | 'embeddings';
}

/** The vision tower: from patches of any number of images to the rows that stand for them in the text. */
export class VisionTower implements Disposable {
  readonly #config: VisionConfig;
  readonly #form: GraphForm;
  readonly #graphs: VisionGraphs;
  readonly #source: WeightSource;
  /** Patch embedding, blocks and merger. */
  readonly #steps: readonly Step[];
  readonly #owned = new DisposableStack();

  constructor(
    device: Device,
    config: VisionConfig,
    graphs: VisionGraphs,
    weights: ModelWeights,
    save: BlockOptions['save'],
  ) {
    const { dtype, adapters } = weights;
    const { patchEmbed, merger, visionBlock } = moduleNames;
    this.#config = config;
    this.#form = formFor(device);
    this.#graphs = graphs;
    this.#source = weights.source;
    const first = new Block(device, graphs.patchEmbed(config, dtype), {
      parameters: ['weight'],
      activations: [],
      save,
    });
    const kind = {
      graph: (own: GraphAdapters) => graphs.block(config, own, dtype, this.#form),
      activations: ['hidden'],
      save,
    } as const;
    const names = Array.from({ length: config.depth }, (_, i) => visionBlock(i));
    const blocks = new LayerBlocks(device, kind, names, weights);
    const last = new Block(
      device,
      graphs.merger(config, adapters?.get(merger) ?? NO_ADAPTERS, dtype),
      { parameters: trainedInputs(weights, merger), activations: ['hidden'], save },
    );
    for (const made of [first, blocks, last]) this.#owned.use(made);
    this.#steps = [
      { module: patchEmbed, block: first, input: 'patches', output: 'output' },
      ...names.map((module, i): Step => {
        return { module, block: blocks.of(i), input: 'hidden', output: 'output' };
      }),
      { module: merger, block: last, input: 'hidden', output: 'embeddings' },
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
    const shared = this.#blockInputs(pixelValues.device, grids, workspace);
    const saved: Saved[] = [];
    let hidden = pixelValues;
    for (const [i, { module, block, input, output }] of this.#steps.entries()) {
      using weights = await this.#source.take(module, this.#steps[i + 1]?.module);
      const inputs = { [input]: hidden, ...shared[i - 1] };
      if (saving) {
        const result = block.forwardSaving(inputs, weights.views, workspace);
        saved.push(result.saved);
        hidden = result.outputs[output]!;
      } else {
        hidden = block.forward(inputs, weights.views, workspace)[output]!;
      }
    }
    return { embeddings: hidden, saved };
  }

  /** Rotary angles and segments, the inputs of each block besides hidden rows and weights. */
  #blockInputs(device: Device, grids: readonly Grid[], workspace: Workspace): Views[] {
    const { rotary, segments } = this.#graphs.plan(this.#config, grids);
    const angles = putAll(workspace, { 'rotary.cos': rotary.cos, 'rotary.sin': rotary.sin });
    const allocate = staging(device, workspace);
    const attention = new Map(
      [...new Set(segments)].map((rows) => [
        rows,
        putAll(workspace, segmentTensors(this.#form, rows, wholeSegments(rows), 1, allocate)),
      ]),
    );
    return segments.map((rows) => ({ ...angles, ...attention.get(rows) }));
  }

  /** Adds the tower's gradients to the sink, from the gradient of its embeddings. */
  async backward(
    { saved }: VisionPass,
    gradient: View,
    sink: GradientSink,
    workspace: Workspace,
  ): Promise<void> {
    const first = sink.trained.has(moduleNames.patchEmbed) ? 0 : 1;
    let outputGradient = gradient;
    for (let i = this.#steps.length - 1; i >= first; i--) {
      const { module, block, input, output } = this.#steps[i]!;
      using weights = await this.#source.take(
        module,
        i > first ? this.#steps[i - 1]!.module : undefined,
      );
      using accumulators = await sink.take(module);
      const given = { [output]: outputGradient };
      const results = block.backward(
        saved[i]!,
        weights.views,
        given,
        accumulators.views,
        workspace,
      );
      outputGradient = results[input]!;
    }
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
