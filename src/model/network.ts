import type { Graph } from '../graph/ir.ts';
import type { Runtime } from '../ort/runtime.ts';
import { addRows, gatherRows } from '../tensor/rows.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import { Workspace } from '../tensor/workspace.ts';
import type { Adapter, GraphAdapters } from './adapter.ts';
import type { Arena } from './arena.ts';
import type { PackedBatch } from './batch.ts';
import { Block, type Named, type Saved } from './block.ts';
import { Embedder, type EmbeddedBatch } from './embedder.ts';
import { LayerBlocks } from './layer-blocks.ts';
import type { ModelConfig } from './qwen2-5-vl/config.ts';
import { decoderLayerGraph, LAYER_PARAMETERS } from './qwen2-5-vl/decoder.ts';
import { adapterGradients, type GradientViews } from './qwen2-5-vl/gradients.ts';
import { sequenceInputs } from './qwen2-5-vl/sequence-inputs.ts';
import { withAdapterViews, type BackboneViews, type BlockViews } from './qwen2-5-vl/weights.ts';

/** What a head makes of a chunk of rows stays below this; of a whole batch it never exists. */
const HEAD_CHUNK_BYTES = 64 * 2 ** 20;

/** How a model trades memory for time in its backward pass. */
export interface NetworkOptions {
  /** Recompute each block's inside in the backward pass instead of keeping it. */
  readonly gradientCheckpointing: boolean;
  /** Trained in place of the weights, which then stay as they are; none when left out. */
  readonly adapter?: Adapter | null;
  /** That nobody ever changes the vision tower's weights; what it makes of images is then kept. */
  readonly isVisionFixed?: boolean;
}

/** What makes one number of each scored row of the decoder. */
export interface RowHead {
  /** From `hidden [R, D]`, its parameters and what a pass adds, to `output [R]`. */
  readonly graph: Graph;
  readonly parameters: readonly string[];
  readonly output: string;
  /** Bytes that a row takes on its way through. */
  readonly rowBytes: number;
  /** The views of an arena of the model's layout: of the weights themselves, or of their gradients. */
  readonly views: (arena: Arena) => NetworkViews;
}

/** All parameters of a model as its graphs take them. */
export type NetworkViews = BackboneViews & { readonly head: BlockViews };

/** Inputs of the head besides rows and weights, for the scored rows from `start` to `end`. */
export type HeadInputs = (start: number, end: number) => Named;

/** Which parts of a forward pass keep what their backward pass needs. */
interface Saving {
  readonly layers: boolean;
  readonly vision: boolean;
}

interface Pass {
  readonly embedded: EmbeddedBatch;
  readonly layers: readonly Saved[];
  readonly hidden: Tensor<'f32'>;
}

/**
 * A decoder with its embeddings, vision tower and a head over an arena of weights: a number for each scored row of
 * packed sequences, and the weights' gradients, block by block.
 *
 * Weights are read where they lie, so an optimizer that steps them in place needs to tell nobody.
 */
export class Network implements Disposable {
  readonly #config: ModelConfig;
  readonly #rowHead: RowHead;
  readonly #weights: NetworkViews;
  readonly #layers: LayerBlocks;
  readonly #head: Block;
  readonly #embedder: Embedder;
  readonly #workspace = new Workspace();

  constructor(
    runtime: Runtime,
    config: ModelConfig,
    arena: Arena,
    head: RowHead,
    { gradientCheckpointing, adapter = null, isVisionFixed = false }: NetworkOptions,
  ) {
    const weights = head.views(arena);
    this.#config = config;
    this.#rowHead = head;
    this.#weights = adapter === null ? weights : withAdapterViews(weights, adapter, config);
    const save = gradientCheckpointing ? 'inputs' : 'needed';
    const layer = {
      graph: (own: GraphAdapters) => decoderLayerGraph(config.text, own),
      weights: LAYER_PARAMETERS,
      activations: ['hidden'],
      save,
    } as const;
    const adapters = this.#weights.adapters?.layers ?? null;
    this.#layers = new LayerBlocks(runtime, layer, config.text.layers, adapters);
    this.#head = new Block(runtime, head.graph, {
      parameters: adapter === null ? head.parameters : [],
      activations: ['hidden'],
      save: 'needed',
    });
    this.#embedder = new Embedder(runtime, config, this.#weights, { save, isVisionFixed });
  }

  /** The head's number for each entry of `batch.scoredRows`, f32 `[R]`. */
  scores(batch: PackedBatch, headInputs: HeadInputs): Float32Array {
    this.#workspace.reset();
    const { hidden } = this.#forward(batch, { layers: false, vision: false });
    const result = new Float32Array(batch.scoredRows.length);
    for (const chunk of this.#chunks(batch)) {
      const inputs = this.#chunkInputs(batch, hidden, chunk, headInputs);
      const outputs = this.#head.forward(inputs, this.#workspace);
      result.set(outputs[this.#rowHead.output]!.data as Float32Array, chunk.start);
    }
    return result;
  }

  /**
   * One forward and backward pass; gradients are added to `gradients`.
   *
   * @param lossGradient from the scores `[R]` to the derivative of the loss by each, `[R]`
   * @param gradients an arena laid out as what is trained: the weights, the weights without the vision tower, or
   *   the adapters
   */
  accumulateGradients(
    batch: PackedBatch,
    headInputs: HeadInputs,
    lossGradient: (scores: Float32Array) => Float32Array,
    gradients: Arena,
  ): void {
    this.#workspace.reset();
    const accumulators = this.#gradientViews(gradients);
    const pass = this.#forward(batch, { layers: true, vision: accumulators.vision !== null });
    let gradient = this.#headBackward(batch, pass.hidden, headInputs, lossGradient, accumulators);
    for (let i = this.#weights.layers.length - 1; i >= 0; i--) {
      const results = this.#layers
        .of(i)
        .backward(pass.layers[i]!, { output: gradient }, accumulators.layers[i]!, this.#workspace);
      gradient = results.hidden as Tensor<'f32'>;
    }
    this.#embedder.backward(batch, pass.embedded, gradient, accumulators, this.#workspace);
  }

  /** Bytes of activation memory held for reuse. */
  get workspaceBytes(): number {
    return this.#workspace.sizeBytes;
  }

  #gradientViews(gradients: Arena): GradientViews {
    const { adapters } = this.#weights;
    return adapters === null
      ? this.#rowHead.views(gradients)
      : adapterGradients(gradients, adapters);
  }

  #forward(batch: PackedBatch, saving: Saving): Pass {
    const { text } = this.#config;
    const embedded = this.#embedder.forward(batch, this.#workspace, saving.vision);
    const shared = sequenceInputs(batch, text);
    const layers: Saved[] = [];
    const spare = saving.layers ? null : this.#workspace.take('f32', embedded.hidden.shape);
    let [hidden, next] = [embedded.hidden, spare];
    for (const [i, weights] of this.#weights.layers.entries()) {
      const block = this.#layers.of(i);
      const inputs = { hidden, ...shared, ...weights };
      if (next === null) {
        const { outputs, saved } = block.forwardSaving(inputs, this.#workspace);
        layers.push(saved);
        hidden = outputs.output as Tensor<'f32'>;
      } else {
        block.forward(inputs, this.#workspace, { output: next });
        [hidden, next] = [next, hidden];
      }
    }
    return { embedded, layers, hidden };
  }

  /** Runs the head chunk by chunk, once for the scores and once for gradients. */
  #headBackward(
    batch: PackedBatch,
    hidden: Tensor<'f32'>,
    headInputs: HeadInputs,
    lossGradient: (scores: Float32Array) => Float32Array,
    accumulators: GradientViews,
  ): Tensor<'f32'> {
    const { output } = this.#rowHead;
    const chunks = this.#chunks(batch);
    const scores = new Float32Array(batch.scoredRows.length);
    const kept: Saved[] = [];
    const chunkForward = (chunk: Chunk): { outputs: Named; saved: Saved } =>
      this.#head.forwardSaving(
        this.#chunkInputs(batch, hidden, chunk, headInputs),
        this.#workspace,
      );
    for (const chunk of chunks) {
      if (chunks.length === 1) {
        const { outputs, saved } = chunkForward(chunk);
        kept.push(saved);
        scores.set(outputs[output]!.data as Float32Array, chunk.start);
      } else {
        const inputs = this.#chunkInputs(batch, hidden, chunk, headInputs);
        const mark = this.#workspace.mark();
        const outputs = this.#head.forward(inputs, this.#workspace);
        scores.set(outputs[output]!.data as Float32Array, chunk.start);
        this.#workspace.release(mark);
      }
    }
    const derivative = lossGradient(scores);
    const gradient = this.#workspace.take('f32', hidden.shape);
    gradient.data.fill(0);
    for (const chunk of chunks) {
      const mark = this.#workspace.mark();
      const saved = kept.pop() ?? chunkForward(chunk).saved;
      const part = derivative.subarray(chunk.start, chunk.end);
      const { hidden: rowGradient } = this.#head.backward(
        saved,
        { [output]: tensorOf('f32', [part.length], part) },
        accumulators.head,
        this.#workspace,
      );
      addRows(
        rowGradient as Tensor<'f32'>,
        batch.scoredRows.subarray(chunk.start, chunk.end),
        gradient,
      );
      this.#workspace.release(mark);
    }
    return gradient;
  }

  #chunkInputs(
    batch: PackedBatch,
    hidden: Tensor<'f32'>,
    { start, end }: Chunk,
    headInputs: HeadInputs,
  ): Named {
    const selected = this.#workspace.take('f32', [end - start, hidden.shape[1]!]);
    gatherRows(hidden, batch.scoredRows.subarray(start, end), selected);
    return { hidden: selected, ...headInputs(start, end), ...this.#weights.head };
  }

  #chunks(batch: PackedBatch): Chunk[] {
    const count = batch.scoredRows.length;
    const size = Math.max(1, Math.floor(HEAD_CHUNK_BYTES / this.#rowHead.rowBytes));
    const chunks: Chunk[] = [];
    for (let start = 0; start < count; start += size) {
      chunks.push({ start, end: Math.min(count, start + size) });
    }
    return chunks;
  }

  [Symbol.dispose](): void {
    this.#layers[Symbol.dispose]();
    this.#head[Symbol.dispose]();
    this.#embedder[Symbol.dispose]();
  }
}

interface Chunk {
  readonly start: number;
  readonly end: number;
}
