import type { Device, View, Views, Workspace } from '../device/device.ts';
import { putAll, putIndex, staging } from '../device/host-tensors.ts';
import type { Graph } from '../graph/ir.ts';
import { floatsOf } from '../tensor/numbers.ts';
import { tensorOf, type Tensors } from '../tensor/tensor.ts';
import { Turns } from '../turns.ts';
import type { GraphAdapters, PlacedAdapter } from './adapters/adapter.ts';
import type { PackedBatch } from './batch.ts';
import { Block, type Saved } from './block.ts';
import type { AnyArena } from './weights/device-arena.ts';
import { Embedder, type EmbeddedBatch } from './embedder.ts';
import { architectureOf } from './families.ts';
import { formFor, type GraphForm } from './graph-form.ts';
import { LayerBlocks } from './layer-blocks.ts';
import { modelWeights, type ModelWeights } from './model-weights.ts';
import type { ModelConfig } from './model-config.ts';
import { sequenceInputs } from './sequence-inputs.ts';
import {
  isVisionModule,
  moduleNames,
  type GradientSink,
  type Lease,
  type ModelModules,
} from './weights/weight-source.ts';

/**
 * What a head makes of a chunk of rows stays below this; of a whole batch it never exists. A card reads all of a large
 * vocabulary's weights for each chunk, which pays only for thousands of rows.
 */
const HEAD_CHUNK_BYTES: Readonly<Record<GraphForm, number>> = {
  composed: 64 * 2 ** 20,
  fused: 2 ** 30,
};

/** How a model trades memory for time in its backward pass. */
export interface NetworkOptions {
  /** Recompute each block's inside in the backward pass instead of keeping it. */
  readonly gradientCheckpointing: boolean;
  /** Trained in place of the weights, which then stay as they are; none when left out. */
  readonly adapter?: PlacedAdapter | null;
  /** That nobody ever changes the vision tower's weights; what it makes of images is then kept. */
  readonly isVisionFixed?: boolean;
}

/** What makes one number of each scored row of the decoder. */
export interface RowHead {
  /** From `hidden [R, D]`, its parameters and what a pass adds, to `output [R]`. */
  readonly graph: Graph;
  readonly output: string;
  /** Bytes that a row takes on its way through. */
  readonly rowBytes: number;
  /** The model's modules, the head among them. */
  readonly modules: ModelModules;
}

/** Inputs of the head besides rows and weights, for the scored rows from `start` to `end`. */
export type HeadInputs = (start: number, end: number) => Tensors;

/** Which parts of a forward pass keep what their backward pass needs. */
interface Saving {
  readonly layers: boolean;
  readonly vision: boolean;
}

interface Pass {
  readonly embedded: EmbeddedBatch;
  readonly layers: readonly Saved[];
  readonly hidden: View;
}

/**
 * A decoder with its embeddings, vision tower and a head: a number for each scored row of packed sequences, and the
 * weights' gradients, module by module. It computes in the dtype of the weights; gradients add up in f32.
 *
 * Weights are read where they lie, so an optimizer that steps them in place needs to tell nobody. One pass runs at a
 * time: a call waits for those before it.
 */
export class Network implements Disposable {
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #form: GraphForm;
  readonly #rowHead: RowHead;
  readonly #weights: ModelWeights;
  readonly #layers: LayerBlocks;
  readonly #head: Block;
  readonly #embedder: Embedder;
  readonly #workspace: Workspace;
  readonly #turns = new Turns();

  constructor(
    device: Device,
    config: ModelConfig,
    arena: AnyArena,
    head: RowHead,
    { gradientCheckpointing, adapter = null, isVisionFixed = false }: NetworkOptions,
  ) {
    this.#device = device;
    this.#config = config;
    this.#form = formFor(device);
    this.#rowHead = head;
    this.#weights = modelWeights(device, { config, modules: head.modules, arena, adapter });
    this.#workspace = device.workspace();
    const { dtype, source, adapters } = this.#weights;
    const save = gradientCheckpointing ? 'inputs' : 'needed';
    const { decoder } = architectureOf(config);
    const layer = {
      graph: (own: GraphAdapters) => decoder.layer(config.text, own, dtype, this.#form),
      weights: inputsOf(head.modules, moduleNames.layer(0)),
      activations: ['hidden'],
      save,
    } as const;
    this.#layers = new LayerBlocks(device, layer, config.text.layers, adapters?.layers ?? null);
    this.#head = new Block(device, head.graph, {
      parameters: adapter === null ? inputsOf(head.modules, moduleNames.head) : [],
      activations: ['hidden'],
      save: 'needed',
    });
    this.#embedder = new Embedder(device, config, {
      dtype,
      source,
      adapters,
      save,
      isVisionFixed,
    });
  }

  /** The head's number for each entry of `batch.scoredRows`, f32 `[R]`. */
  scores(batch: PackedBatch, headInputs: HeadInputs): Promise<Float32Array> {
    return this.#turns.run(async () => {
      this.#workspace.reset();
      const { hidden } = await this.#forward(batch, { layers: false, vision: false });
      const result = new Float32Array(batch.scoredRows.length);
      using weights = await this.#weights.source.take(moduleNames.head);
      for (const chunk of this.#chunks(batch)) {
        const inputs = this.#chunkInputs(batch, hidden, chunk, headInputs);
        const outputs = this.#head.forward(inputs, weights.views, this.#workspace);
        await this.#readScores(outputs, result, chunk);
      }
      return result;
    });
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
    gradients: AnyArena<'f32'>,
  ): Promise<void> {
    return this.#turns.run(async () => {
      this.#workspace.reset();
      const sink = this.#weights.sink(gradients);
      const vision = [...sink.trained].some(isVisionModule);
      const pass = await this.#forward(batch, { layers: true, vision });
      let gradient = await this.#headBackward(batch, pass.hidden, headInputs, lossGradient, sink);
      for (let i = this.#config.text.layers - 1; i >= 0; i--) {
        using weights = await this.#takeLayer(i, i - 1);
        using accumulators = await sink.take(moduleNames.layer(i));
        const results = this.#layers
          .of(i)
          .backward(
            pass.layers[i]!,
            weights.views,
            { output: gradient },
            accumulators.views,
            this.#workspace,
          );
        gradient = results['hidden']!;
      }
      await this.#embedder.backward(batch, pass.embedded, gradient, sink, this.#workspace);
    });
  }

  /** Bytes of activation memory held for reuse. */
  get workspaceBytes(): number {
    return this.#workspace.sizeBytes;
  }

  async #forward(batch: PackedBatch, saving: Saving): Promise<Pass> {
    const { text } = this.#config;
    const embedded = await this.#embedder.forward(batch, this.#workspace, saving.vision);
    const allocate = staging(this.#device, this.#workspace);
    const shared = putAll(this.#workspace, sequenceInputs(batch, text, this.#form, allocate));
    const layers: Saved[] = [];
    const { dtype, shape } = embedded.hidden;
    const spare = saving.layers ? null : this.#workspace.take(dtype, shape);
    let [hidden, next] = [embedded.hidden, spare];
    for (let i = 0; i < text.layers; i++) {
      const block = this.#layers.of(i);
      using weights = await this.#takeLayer(i, i + 1);
      const inputs = { hidden, ...shared };
      if (next === null) {
        const { outputs, saved } = block.forwardSaving(inputs, weights.views, this.#workspace);
        layers.push(saved);
        hidden = outputs['output']!;
      } else {
        block.forward(inputs, weights.views, this.#workspace, { output: next });
        [hidden, next] = [next, hidden];
      }
    }
    return { embedded, layers, hidden };
  }

  /** The weights of a layer, before those of another, or of the head, which follows the last. */
  #takeLayer(layer: number, next: number): Promise<Lease> {
    const { source } = this.#weights;
    const following = next < this.#config.text.layers ? moduleNames.layer(next) : moduleNames.head;
    return source.take(moduleNames.layer(layer), next < 0 ? undefined : following);
  }

  /** Runs the head chunk by chunk, once for the scores and once for gradients. */
  async #headBackward(
    batch: PackedBatch,
    hidden: View,
    headInputs: HeadInputs,
    lossGradient: (scores: Float32Array) => Float32Array,
    sink: GradientSink,
  ): Promise<View> {
    const { output } = this.#rowHead;
    const { operations } = this.#device;
    const chunks = this.#chunks(batch);
    const scores = new Float32Array(batch.scoredRows.length);
    const kept: Saved[] = [];
    const last = moduleNames.layer(this.#config.text.layers - 1);
    using weights = await this.#weights.source.take(moduleNames.head, last);
    using accumulators = await sink.take(moduleNames.head);
    const inputsOf = (chunk: Chunk): Views => this.#chunkInputs(batch, hidden, chunk, headInputs);
    const chunkForward = (chunk: Chunk): { outputs: Views; saved: Saved } =>
      this.#head.forwardSaving(inputsOf(chunk), weights.views, this.#workspace);
    for (const chunk of chunks) {
      if (chunks.length === 1) {
        const { outputs, saved } = chunkForward(chunk);
        kept.push(saved);
        await this.#readScores(outputs, scores, chunk);
      } else {
        const inputs = inputsOf(chunk);
        const mark = this.#workspace.mark();
        const outputs = this.#head.forward(inputs, weights.views, this.#workspace);
        await this.#readScores(outputs, scores, chunk);
        this.#workspace.release(mark);
      }
    }
    const derivative = lossGradient(scores);
    const gradient = this.#workspace.take(hidden.dtype, hidden.shape);
    operations.zero(gradient);
    for (const chunk of chunks) {
      const mark = this.#workspace.mark();
      const saved = kept.pop() ?? chunkForward(chunk).saved;
      const part = derivative.subarray(chunk.start, chunk.end);
      const { hidden: rowGradient } = this.#head.backward(
        saved,
        weights.views,
        { [output]: this.#workspace.put(tensorOf('f32', [part.length], part)) },
        accumulators.views,
        this.#workspace,
      );
      operations.addRows(rowGradient!, this.#chunkRows(batch, chunk), gradient);
      this.#workspace.release(mark);
    }
    return gradient;
  }

  async #readScores(outputs: Views, into: Float32Array, { start }: Chunk): Promise<void> {
    into.set(floatsOf(await this.#device.download(outputs[this.#rowHead.output]!)), start);
  }

  #chunkInputs(batch: PackedBatch, hidden: View, chunk: Chunk, headInputs: HeadInputs): Views {
    const { start, end } = chunk;
    const selected = this.#workspace.take(hidden.dtype, [end - start, hidden.shape[1]!]);
    this.#device.operations.gatherRows(hidden, this.#chunkRows(batch, chunk), selected);
    return { hidden: selected, ...putAll(this.#workspace, headInputs(start, end)) };
  }

  #chunkRows({ scoredRows }: PackedBatch, { start, end }: Chunk): View<'i32'> {
    return putIndex(this.#workspace, scoredRows.subarray(start, end));
  }

  #chunks(batch: PackedBatch): Chunk[] {
    const count = batch.scoredRows.length;
    const size = Math.max(1, Math.floor(HEAD_CHUNK_BYTES[this.#form] / this.#rowHead.rowBytes));
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
    this.#workspace[Symbol.dispose]();
  }
}

interface Chunk {
  readonly start: number;
  readonly end: number;
}

/** The weights that a module's graph takes. */
function inputsOf(modules: ModelModules, module: string): string[] {
  return Object.keys(modules.get(module) ?? {});
}
