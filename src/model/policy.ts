import type { Runtime } from '../ort/runtime.ts';
import { addRows, gatherRows } from '../tensor/rows.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import { Workspace } from '../tensor/workspace.ts';
import type { Arena } from './arena.ts';
import type { PackedBatch } from './batch.ts';
import { Block, type Named, type Saved } from './block.ts';
import { Embedder, type EmbeddedBatch } from './embedder.ts';
import type { ModelConfig } from './qwen2-5-vl/config.ts';
import {
  decoderLayerGraph,
  HEAD_PARAMETERS,
  headGraph,
  LAYER_PARAMETERS,
} from './qwen2-5-vl/decoder.ts';
import { sequenceInputs } from './qwen2-5-vl/sequence-inputs.ts';
import { weightViews, type WeightViews } from './qwen2-5-vl/weights.ts';

/** Logits of one chunk of the head stay below this; a whole batch's [tokens, vocabulary] never exists. */
const HEAD_CHUNK_BYTES = 64 * 2 ** 20;

/** How a policy trades memory for time in its backward pass. */
export interface PolicyOptions {
  /** Recompute each block's inside in the backward pass instead of keeping it. */
  readonly gradientCheckpointing: boolean;
}

interface Pass {
  readonly embedded: EmbeddedBatch;
  readonly layers: readonly Saved[];
  readonly hidden: Tensor<'f32'>;
}

/**
 * A vision-language model over an arena of weights: log-probabilities of given tokens, and their
 * gradients, block by block over packed sequences.
 *
 * Weights are read where they lie, so an optimizer that steps them in place needs to tell nobody.
 */
export class Policy implements Disposable {
  readonly config: ModelConfig;
  readonly #weights: WeightViews;
  readonly #layer: Block;
  readonly #head: Block;
  readonly #embedder: Embedder;
  readonly #workspace = new Workspace();

  constructor(runtime: Runtime, config: ModelConfig, arena: Arena, options: PolicyOptions) {
    this.config = config;
    this.#weights = weightViews(arena, config);
    const save = options.gradientCheckpointing ? 'inputs' : 'needed';
    this.#layer = new Block(runtime, decoderLayerGraph(config.text), {
      parameters: LAYER_PARAMETERS,
      activations: ['hidden'],
      save,
    });
    this.#head = new Block(runtime, headGraph(config.text), {
      parameters: HEAD_PARAMETERS,
      activations: ['hidden'],
      save: 'needed',
    });
    this.#embedder = new Embedder(runtime, config, this.#weights, save);
  }

  /**
   * Log-probabilities of the scored tokens.
   *
   * @param temperature divides the logits before the softmax
   * @returns f32 `[R]`, one per entry of `batch.scoredRows`
   */
  logProbs(batch: PackedBatch, temperature: number): Float32Array {
    this.#workspace.reset();
    const { hidden } = this.#forward(batch, false);
    const result = new Float32Array(batch.scoredRows.length);
    for (const chunk of this.#chunks(batch)) {
      const { logProbs } = this.#head.forward(
        this.#headInputs(batch, hidden, chunk, temperature),
        this.#workspace,
      );
      result.set(logProbs!.data as Float32Array, chunk.start);
    }
    return result;
  }

  /**
   * One forward and backward pass; gradients are added to `gradients`.
   *
   * @param lossGradient from the log-probabilities `[R]` to the derivative of the loss by each, `[R]`
   * @param gradients an arena of the weights' layout
   */
  accumulateGradients(
    batch: PackedBatch,
    temperature: number,
    lossGradient: (logProbs: Float32Array) => Float32Array,
    gradients: Arena,
  ): void {
    this.#workspace.reset();
    const accumulators = weightViews(gradients, this.config);
    const pass = this.#forward(batch, true);
    const hiddenGradient = this.#headBackward(
      batch,
      pass.hidden,
      temperature,
      lossGradient,
      accumulators,
    );
    let gradient = hiddenGradient;
    for (let i = this.#weights.layers.length - 1; i >= 0; i--) {
      const results = this.#layer.backward(
        pass.layers[i]!,
        { output: gradient },
        accumulators.layers[i]!,
        this.#workspace,
      );
      gradient = results.hidden as Tensor<'f32'>;
    }
    this.#embedder.backward(batch, pass.embedded, gradient, accumulators, this.#workspace);
  }

  /** Bytes of activation memory held for reuse. */
  get workspaceBytes(): number {
    return this.#workspace.sizeBytes;
  }

  #forward(batch: PackedBatch, saving: boolean): Pass {
    const { text } = this.config;
    const embedded = this.#embedder.forward(batch, this.#workspace, saving);
    const shared = sequenceInputs(batch, text);
    const layers: Saved[] = [];
    const spare = saving ? null : this.#workspace.take('f32', embedded.hidden.shape);
    let [hidden, next] = [embedded.hidden, spare];
    for (const weights of this.#weights.layers) {
      const inputs = { hidden, ...shared, ...weights };
      if (next === null) {
        const { outputs, saved } = this.#layer.forwardSaving(inputs, this.#workspace);
        layers.push(saved);
        hidden = outputs.output as Tensor<'f32'>;
      } else {
        this.#layer.forward(inputs, this.#workspace, { output: next });
        [hidden, next] = [next, hidden];
      }
    }
    return { embedded, layers, hidden };
  }

  /** Runs the head chunk by chunk, once for log-probabilities and once for gradients. */
  #headBackward(
    batch: PackedBatch,
    hidden: Tensor<'f32'>,
    temperature: number,
    lossGradient: (logProbs: Float32Array) => Float32Array,
    accumulators: WeightViews,
  ): Tensor<'f32'> {
    const chunks = this.#chunks(batch);
    const logProbs = new Float32Array(batch.scoredRows.length);
    const kept: Saved[] = [];
    const chunkForward = (chunk: Chunk): { outputs: Named; saved: Saved } =>
      this.#head.forwardSaving(
        this.#headInputs(batch, hidden, chunk, temperature),
        this.#workspace,
      );
    for (const chunk of chunks) {
      if (chunks.length === 1) {
        const { outputs, saved } = chunkForward(chunk);
        kept.push(saved);
        logProbs.set(outputs.logProbs!.data as Float32Array, chunk.start);
      } else {
        const inputs = this.#headInputs(batch, hidden, chunk, temperature);
        const mark = this.#workspace.mark();
        const { logProbs: some } = this.#head.forward(inputs, this.#workspace);
        logProbs.set(some!.data as Float32Array, chunk.start);
        this.#workspace.release(mark);
      }
    }
    const derivative = lossGradient(logProbs);
    const gradient = this.#workspace.take('f32', hidden.shape);
    gradient.data.fill(0);
    for (const chunk of chunks) {
      const mark = this.#workspace.mark();
      const saved = kept.pop() ?? chunkForward(chunk).saved;
      const part = derivative.subarray(chunk.start, chunk.end);
      const { hidden: rowGradient } = this.#head.backward(
        saved,
        { logProbs: tensorOf('f32', [part.length], part) },
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

  #headInputs(batch: PackedBatch, hidden: Tensor<'f32'>, chunk: Chunk, temperature: number): Named {
    const scored = batch.scoredRows.subarray(chunk.start, chunk.end);
    const selected = this.#workspace.take('f32', [scored.length, hidden.shape[1]!]);
    gatherRows(hidden, scored, selected);
    const targets = Array.from(batch.targets.subarray(chunk.start, chunk.end));
    return {
      hidden: selected,
      targets: tensorOf('i64', [scored.length, 1], targets),
      inverseTemperature: tensorOf('f32', [], [1 / temperature]),
      ...this.#weights.head,
    };
  }

  #chunks(batch: PackedBatch): Chunk[] {
    const count = batch.scoredRows.length;
    const size = Math.max(1, Math.floor(HEAD_CHUNK_BYTES / (4 * this.config.text.vocabSize)));
    const chunks: Chunk[] = [];
    for (let start = 0; start < count; start += size) {
      chunks.push({ start, end: Math.min(count, start + size) });
    }
    return chunks;
  }

  [Symbol.dispose](): void {
    this.#layer[Symbol.dispose]();
    this.#head[Symbol.dispose]();
    this.#embedder[Symbol.dispose]();
  }
}

interface Chunk {
  readonly start: number;
  readonly end: number;
}
