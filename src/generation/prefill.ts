import type { Device, View, Workspace } from '../device/device.ts';
import { putAll, staging } from '../device/host-tensors.ts';
import { NO_ADAPTERS, type GraphAdapters } from '../model/adapters/adapter.ts';
import type { PackedBatch } from '../model/batch.ts';
import { Block } from '../model/block.ts';
import { Embedder, type EmbedderOptions } from '../model/embedder.ts';
import { architectureOf } from '../model/families.ts';
import { LayerBlocks } from '../model/layer-blocks.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { formFor } from '../model/graph-form.ts';
import { sequenceInputs } from '../model/sequence-inputs.ts';
import { moduleNames } from '../model/weights/weight-source.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import type { Sampler } from './sampler.ts';

/** Keys and values of one layer for the tokens of a pass, `[T, K, d]` each. */
interface LayerKeysValues {
  readonly key: View;
  readonly value: View;
}

/** Prompts after one forward pass over all of them; valid until the next. */
export interface PrefilledBatch {
  readonly layers: readonly LayerKeysValues[];
  /** `[P, V]`, the distribution of each prompt's first response token, as the head's graph gives it. */
  readonly firstTokens: View;
  readonly prompts: readonly PrefilledPrompt[];
}

/** One prompt of a pass, shared by all its samples. */
export interface PrefilledPrompt {
  readonly batch: PrefilledBatch;
  /** Its place among the pass's prompts. */
  readonly index: number;
  /** Its first row among the pass's tokens. */
  readonly start: number;
  readonly tokens: number;
}

/** The forward pass over prompts that fills caches; prompts are packed into one pass. */
export class Prefill implements Disposable {
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #weights: ModelWeights;
  readonly #embedder: Embedder;
  readonly #layers: LayerBlocks;
  readonly #lastLayer: Block;
  readonly #firstToken: Block;
  readonly #workspace: Workspace;

  constructor(
    device: Device,
    config: ModelConfig,
    weights: ModelWeights,
    headGraph: Sampler['headGraph'],
    { isVisionFixed = false }: Pick<EmbedderOptions, 'isVisionFixed'> = {},
  ) {
    this.#device = device;
    this.#config = config;
    this.#weights = weights;
    this.#workspace = device.workspace();
    const forwardOnly = { parameters: [], activations: [], save: 'needed' } as const;
    const embedding = { ...weights, save: 'needed', isVisionFixed } as const;
    this.#embedder = new Embedder(device, config, embedding);
    const { dtype } = weights;
    const form = formFor(device);
    const adapters = weights.adapters?.layers ?? null;
    const { decoder } = architectureOf(config);
    const layer = {
      graph: (own: GraphAdapters) => decoder.prefillLayer(config.text, false, own, dtype, form),
      weights: [],
      ...forwardOnly,
    };
    this.#layers = new LayerBlocks(device, layer, config.text.layers - 1, adapters);
    const lastAdapters = adapters?.at(-1) ?? NO_ADAPTERS;
    const last = decoder.prefillLayer(config.text, true, lastAdapters, dtype, form);
    this.#lastLayer = new Block(device, last, forwardOnly);
    this.#firstToken = new Block(device, headGraph(config.text, dtype), forwardOnly);
  }

  /**
   * Computes prompts; what it returns stands in memory that the next call uses again.
   *
   * @param batch the packed prompts; `scoredRows` is not read
   * @param temperatures one per prompt; 0 stands for greedy and leaves the logits as they are
   * @param logitBias f32 `[V]`
   */
  async run(
    batch: PackedBatch,
    temperatures: readonly number[],
    logitBias: View,
  ): Promise<PrefilledBatch> {
    this.#workspace.reset();
    const { text } = this.#config;
    const { source } = this.#weights;
    const allocate = staging(this.#device, this.#workspace);
    const shared = putAll(
      this.#workspace,
      sequenceInputs(batch, text, formFor(this.#device), allocate),
    );
    const lastRows = this.#workspace.put(lastRowsOf(batch));
    let { hidden } = await this.#embedder.forward(batch, this.#workspace, false);
    let next = this.#workspace.take(hidden.dtype, hidden.shape);
    const last = this.#workspace.take(hidden.dtype, [batch.trees.length, text.hiddenSize]);
    const layers: LayerKeysValues[] = [];
    for (let i = 0; i < text.layers; i++) {
      const following = i + 1 < text.layers ? moduleNames.layer(i + 1) : moduleNames.head;
      using weights = await source.take(moduleNames.layer(i), following);
      const inputs = { hidden, ...shared };
      const { key, value } =
        i === text.layers - 1
          ? this.#lastLayer.forward({ ...inputs, lastRows }, weights.views, this.#workspace, {
              output: last,
            })
          : this.#layers.of(i).forward(inputs, weights.views, this.#workspace, { output: next });
      layers.push({ key: key!, value: value! });
      [hidden, next] = [next, hidden];
    }
    return split(batch, layers, await this.#distributions(last, temperatures, logitBias));
  }

  async #distributions(
    hidden: View,
    temperatures: readonly number[],
    logitBias: View,
  ): Promise<View> {
    const inverse = temperatures.map((temperature) => (temperature === 0 ? 1 : 1 / temperature));
    const inverseTemperature = this.#workspace.put(tensorOf('f32', [inverse.length, 1], inverse));
    using head = await this.#weights.source.take(moduleNames.head);
    const inputs = { hidden, logitBias, inverseTemperature };
    const [distributions] = Object.values(
      this.#firstToken.forward(inputs, head.views, this.#workspace),
    );
    return distributions!;
  }

  [Symbol.dispose](): void {
    this.#embedder[Symbol.dispose]();
    this.#layers[Symbol.dispose]();
    this.#lastLayer[Symbol.dispose]();
    this.#firstToken[Symbol.dispose]();
    this.#workspace[Symbol.dispose]();
  }
}

function split(
  { trees }: PackedBatch,
  layers: readonly LayerKeysValues[],
  firstTokens: View,
): PrefilledBatch {
  const prompts: PrefilledPrompt[] = [];
  const batch = { layers, firstTokens, prompts };
  let start = 0;
  for (const [index, { prompt: tokens }] of trees.entries()) {
    prompts.push({ batch, index, start, tokens });
    start += tokens;
  }
  return batch;
}

/** The row of each prompt's last token. */
function lastRowsOf({ trees }: PackedBatch): Tensor<'i64'> {
  let end = 0;
  const rows = trees.map(({ prompt }) => BigInt((end += prompt) - 1));
  return tensorOf('i64', [rows.length], rows);
}
