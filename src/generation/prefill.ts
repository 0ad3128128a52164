import { NO_ADAPTERS, type GraphAdapters } from '../model/adapter.ts';
import { Block } from '../model/block.ts';
import type { PackedBatch } from '../model/batch.ts';
import { Embedder, type EmbedderOptions } from '../model/embedder.ts';
import { LayerBlocks } from '../model/layer-blocks.ts';
import type { ModelConfig } from '../model/qwen2-5-vl/config.ts';
import { distributionGraph } from '../model/qwen2-5-vl/decode.ts';
import { prefillLayerGraph } from '../model/qwen2-5-vl/decoder.ts';
import { sequenceInputs } from '../model/qwen2-5-vl/sequence-inputs.ts';
import type { WeightViews } from '../model/qwen2-5-vl/weights.ts';
import type { Runtime } from '../ort/runtime.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import { Workspace } from '../tensor/workspace.ts';
import type { LayerKeysValues } from './kv-cache.ts';

/** A prompt after its one forward pass: shared by all its samples, and valid until the next pass. */
export interface PrefilledPrompt {
  readonly tokens: number;
  readonly layers: readonly LayerKeysValues[];
  /** f32 `[V]`, the distribution of the first response token. */
  readonly firstToken: Float32Array;
}

/** The forward pass over prompts that fills caches; prompts are packed into one pass. */
export class Prefill implements Disposable {
  readonly #config: ModelConfig;
  readonly #weights: WeightViews;
  readonly #embedder: Embedder;
  readonly #layers: LayerBlocks;
  readonly #lastLayer: Block;
  readonly #firstToken: Block;
  readonly #workspace = new Workspace();

  constructor(
    runtime: Runtime,
    config: ModelConfig,
    weights: WeightViews,
    { isVisionFixed = false }: Pick<EmbedderOptions, 'isVisionFixed'> = {},
  ) {
    this.#config = config;
    this.#weights = weights;
    const forwardOnly = { parameters: [], activations: [], save: 'needed' } as const;
    this.#embedder = new Embedder(runtime, config, weights, { save: 'needed', isVisionFixed });
    const adapters = weights.adapters?.layers ?? null;
    const layer = {
      graph: (own: GraphAdapters) => prefillLayerGraph(config.text, false, own),
      weights: [],
      ...forwardOnly,
    };
    this.#layers = new LayerBlocks(runtime, layer, config.text.layers - 1, adapters);
    const last = prefillLayerGraph(config.text, true, adapters?.at(-1) ?? NO_ADAPTERS);
    this.#lastLayer = new Block(runtime, last, forwardOnly);
    this.#firstToken = new Block(runtime, distributionGraph(config.text, 'rows'), forwardOnly);
  }

  /**
   * Computes prompts; what it returns stands in memory that the next call uses again.
   *
   * @param batch the packed prompts; `scoredRows` is not read
   * @param temperatures one per prompt; 0 stands for greedy and leaves the logits as they are
   */
  run(
    batch: PackedBatch,
    temperatures: readonly number[],
    logitBias: Tensor<'f32'>,
  ): PrefilledPrompt[] {
    this.#workspace.reset();
    const { text } = this.#config;
    const shared = sequenceInputs(batch, text);
    const lastRows = lastRowsOf(batch);
    let { hidden } = this.#embedder.forward(batch, this.#workspace, false);
    let next = this.#workspace.take('f32', hidden.shape);
    const last = this.#workspace.take('f32', [lastRows.data.length, text.hiddenSize]);
    const cached: LayerKeysValues[] = [];
    for (const [layer, weights] of this.#weights.layers.entries()) {
      const inputs = { hidden, ...shared, ...weights };
      const { key, value } =
        layer === text.layers - 1
          ? this.#lastLayer.forward({ ...inputs, lastRows }, this.#workspace, { output: last })
          : this.#layers.of(layer).forward(inputs, this.#workspace, { output: next });
      cached.push({ key: key!.data as Float32Array, value: value!.data as Float32Array });
      [hidden, next] = [next, hidden];
    }
    return this.#split(batch, cached, this.#distributions(last, temperatures, logitBias));
  }

  #distributions(
    hidden: Tensor<'f32'>,
    temperatures: readonly number[],
    logitBias: Tensor<'f32'>,
  ): Float32Array {
    const inverse = temperatures.map((temperature) => (temperature === 0 ? 1 : 1 / temperature));
    const { probabilities } = this.#firstToken.forward(
      {
        hidden,
        logitBias,
        inverseTemperature: tensorOf('f32', [inverse.length, 1], inverse),
        ...this.#weights.head,
      },
      this.#workspace,
    );
    return probabilities!.data as Float32Array;
  }

  #split(
    { trees }: PackedBatch,
    cached: readonly LayerKeysValues[],
    distributions: Float32Array,
  ): PrefilledPrompt[] {
    const { kvHeads, headDim, vocabSize } = this.#config.text;
    const width = kvHeads * headDim;
    let start = 0;
    return trees.map(({ prompt: tokens }, i) => {
      const from = start * width;
      start += tokens;
      const part = (all: Float32Array): Float32Array => all.subarray(from, from + tokens * width);
      return {
        tokens,
        layers: cached.map(({ key, value }) => ({ key: part(key), value: part(value) })),
        firstToken: distributions.subarray(i * vocabSize, (i + 1) * vocabSize),
      };
    });
  }

  [Symbol.dispose](): void {
    this.#embedder[Symbol.dispose]();
    this.#layers[Symbol.dispose]();
    this.#lastLayer[Symbol.dispose]();
    this.#firstToken[Symbol.dispose]();
  }
}

/** The row of each prompt's last token. */
function lastRowsOf({ trees }: PackedBatch): Tensor<'i64'> {
  let end = 0;
  const rows = trees.map(({ prompt }) => BigInt((end += prompt) - 1));
  return tensorOf('i64', [rows.length], rows);
}
