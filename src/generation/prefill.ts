import type { Device, View, Views, Workspace } from '../device/device.ts';
import { putAll, staging } from '../device/host-tensors.ts';
import type { Graph } from '../graph/ir.ts';
import { sharedByLayers } from '../model/adapters/adapter.ts';
import type { PackedBatch } from '../model/batch.ts';
import { Block } from '../model/block.ts';
import { Embedder, type EmbedderOptions } from '../model/embedder.ts';
import { decoderLayers, type Layer } from '../model/decoder-layers.ts';
import { decoderLayerGraph } from '../model/decoder/layer.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import type { ModelConfig, TextConfig } from '../model/model-config.ts';
import { formFor } from '../model/graph-form.ts';
import { distributionGraph, logitsGraph } from '../model/heads.ts';
import { sequenceInputs } from '../model/sequence-inputs.ts';
import { moduleNames } from '../model/weights/modules.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { inverseTemperatureOf, type HeadOutputs, type Sampling } from './sampler.ts';

/** Keys and values of one layer for the tokens of a pass, `[T, K, d]` each. */
interface LayerKeysValues {
  readonly key: View;
  readonly value: View;
}

/** One prompt of a pass, shared by all its samples. */
export interface PrefilledPrompt {
  /** Keys and values of all tokens of the pass; valid until the next one. */
  readonly layers: readonly LayerKeysValues[];
  /** Number among the pass's prompts. */
  readonly index: number;
  /** First row among the pass's tokens. */
  readonly start: number;
  readonly tokens: number;
}

/** Prompts after one forward pass over all of them; valid until the next pass. */
interface PrefilledPass {
  /** Distributions of the first response token of each prompt, `[P, V]`. */
  readonly headOutputs: HeadOutputs;
  readonly prompts: readonly PrefilledPrompt[];
}

/** The forward pass over packed prompts that computes keys and values for a cache. */
export class Prefill implements Disposable {
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #weights: ModelWeights;
  readonly #embedder: Embedder;
  readonly #layers: readonly Block[];
  readonly #firstToken: Block;
  readonly #workspace: Workspace;
  readonly #logitBias: View;
  readonly #owned: DisposableStack;

  /** @param logitBias f32 `[V]`, for heads that compute distributions */
  constructor(
    device: Device,
    config: ModelConfig,
    weights: ModelWeights,
    logitBias: View,
    { isVisionFixed = false }: Pick<EmbedderOptions, 'isVisionFixed'> = {},
  ) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#logitBias = logitBias;
    using owned = new DisposableStack();
    this.#workspace = owned.use(device.workspace());
    const saving = { save: 'costly', isVisionFixed } as const;
    this.#embedder = owned.use(new Embedder(device, config, weights, saving));
    const { dtype, adapters } = weights;
    const form = formFor(device);
    const block = (graph: Graph): Block =>
      owned.use(new Block(device, graph, { parameters: [], activations: [], save: 'costly' }));
    const blocks = (some: readonly Layer<TextConfig>[], kind: 'prefill' | 'last'): Block[] =>
      sharedByLayers(some, adapters, (text, own) =>
        block(decoderLayerGraph(text, own, dtype, form, kind)),
      );
    const layers = decoderLayers(config.text);
    this.#layers = [...blocks(layers.slice(0, -1), 'prefill'), ...blocks(layers.slice(-1), 'last')];
    const headGraph = device.hasKernels ? logitsGraph : distributionGraph;
    this.#firstToken = block(headGraph(config.text, dtype));
    this.#owned = owned.move();
  }

  /**
   * Computes prompts. The next call reuses the memory of the result.
   *
   * @param batch the packed prompts; `scoredRows` is not read
   * @param samplings the sampling of each prompt's responses
   */
  async run(batch: PackedBatch, samplings: readonly Sampling[]): Promise<PrefilledPass> {
    this.#workspace.reset();
    const { text } = this.#config;
    const { source } = this.#weights;
    const allocate = staging(this.#device, this.#workspace);
    const shared = putAll(
      this.#workspace,
      sequenceInputs(batch, text, formFor(this.#device), allocate),
    );
    const promptRows = rowsOfPrompts(batch);
    const ends = promptRows.map(({ start, tokens }) => BigInt(start + tokens - 1));
    const lastRows = this.#workspace.put(tensorOf('i64', [ends.length], ends));
    const embedded = await this.#embedder.forward(batch, this.#workspace, false);
    let { hidden } = embedded;
    let next = this.#workspace.take(hidden.dtype, hidden.shape);
    const last = this.#workspace.take(hidden.dtype, [batch.trees.length, text.hiddenSize]);
    const layers: LayerKeysValues[] = [];
    for (let i = 0; i < text.layers; i++) {
      const following = i + 1 < text.layers ? moduleNames.layer(i + 1) : moduleNames.head;
      using weights = await source.take(moduleNames.layer(i), following);
      const inputs = { hidden, ...shared, lastRows };
      const into = { output: i === text.layers - 1 ? last : next };
      const block = this.#layers[i]!;
      const { key, value } = block.forward(inputs, weights.views, this.#workspace, into);
      layers.push({ key: key!, value: value! });
      [hidden, next] = [next, hidden];
      // No rows are for the last layer, which computes those of the last tokens alone.
      this.#embedder.addDeepstack(embedded, i, hidden, this.#workspace);
    }
    const headOutputs = await this.#distributions(last, samplings);
    return { headOutputs, prompts: promptRows.map((rows) => ({ ...rows, layers })) };
  }

  async #distributions(hidden: View, samplings: readonly Sampling[]): Promise<HeadOutputs> {
    const inverse = samplings.map(inverseTemperatureOf);
    const inverseTemperature = this.#workspace.put(tensorOf('f32', [inverse.length, 1], inverse));
    using head = await this.#weights.source.take(moduleNames.head);
    const inputs = { hidden, logitBias: this.#logitBias, inverseTemperature };
    return this.#firstToken.forward(inputs, head.views, this.#workspace) as Views & HeadOutputs;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** The rows of each prompt. */
function rowsOfPrompts({ trees }: PackedBatch): Omit<PrefilledPrompt, 'layers'>[] {
  let end = 0;
  return trees.map(({ prompt: tokens }, index) => ({
    index,
    start: (end += tokens) - tokens,
    tokens,
  }));
}
