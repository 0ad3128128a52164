import type { Device, View, Views, Workspace } from '../device/device.ts';
import { putAll, putIndex } from '../device/host-tensors.ts';
import type { Graph } from '../graph/ir.ts';
import { floatsOf } from '../tensor/numbers.ts';
import { slices, type Slice } from '../tensor/slices.ts';
import { tensorOf, type Tensors } from '../tensor/tensor.ts';
import type { HeadKind } from './architecture.ts';
import type { PackedBatch } from './batch.ts';
import { Block, type Saved } from './block.ts';
import { formFor, type GraphForm } from './graph-form.ts';
import { headGraph, valueHeadGraph } from './heads.ts';
import type { ModelConfig } from './model-config.ts';
import { trainedInputs, type ModelWeights } from './model-weights.ts';
import { moduleNames } from './weights/modules.ts';
import type { GradientSink } from './weights/weight-source.ts';

/**
 * Largest intermediate result of a head, in bytes. A whole batch of logits never exists. A GPU reads all weights of a
 * large vocabulary for every chunk, so a chunk pays there only from thousands of rows on.
 */
const CHUNK_BYTES: Readonly<Record<GraphForm, number>> = { composed: 64 * 2 ** 20, fused: 2 ** 30 };

/** Numbers of the scored rows, f32 `[R]` each: their scores, and their entropies if those are asked for. */
export type RowNumbers = readonly [scores: Float32Array, entropies?: Float32Array];

/** Input of a head: a batch, and the decoder's last hidden states, of which it takes the scored rows. */
export interface HeadPass {
  readonly batch: PackedBatch;
  readonly hidden: View; // [T, D]
  /** Divides a policy's logits; a value head has none. */
  readonly temperature: number;
  /** Computes the entropy of each row's distribution too; a value head has none. */
  readonly withEntropies: boolean;
  readonly workspace: Workspace;
}

/** The head of a network: one number for each scored row, or two, computed chunk by chunk. */
export class ScoringHead implements Disposable {
  readonly #device: Device;
  readonly #weights: ModelWeights;
  readonly #isPolicy: boolean;
  /** The head's block. A policy has a second one, with entropies, which is compiled only if they are asked for. */
  readonly #blocks: readonly [Block, Block?];
  readonly #chunkRows: number;
  readonly #lastLayer: string;

  /** @param banned tokens that a policy never gives a probability; a value head has none */
  constructor(
    device: Device,
    { text }: ModelConfig,
    kind: HeadKind,
    weights: ModelWeights,
    banned: readonly number[],
  ) {
    const isPolicy = kind === 'policy';
    const { dtype } = weights;
    const form = formFor(device);
    this.#device = device;
    this.#weights = weights;
    this.#isPolicy = isPolicy;
    const block = (graph: Graph): Block =>
      new Block(device, graph, {
        parameters: trainedInputs(weights, moduleNames.head),
        activations: ['hidden'],
        save: 'costly',
      });
    const ofPolicy = (withEntropies: boolean): Block =>
      block(headGraph(text, dtype, form, { withEntropies, banned }));
    this.#blocks = isPolicy
      ? [ofPolicy(false), ofPolicy(true)]
      : [block(valueHeadGraph(text, dtype))];
    // The largest intermediate result of a row: its logits, or its normed hidden state.
    const rowBytes = 4 * (isPolicy ? text.vocabSize : text.hiddenSize);
    this.#chunkRows = Math.max(1, Math.floor(CHUNK_BYTES[form] / rowBytes));
    this.#lastLayer = moduleNames.layer(text.layers - 1);
  }

  /** The numbers of each entry of `batch.scoredRows`. */
  async scores(pass: HeadPass): Promise<RowNumbers> {
    const numbers = this.#blank(pass);
    using weights = await this.#weights.source.take(moduleNames.head);
    for (const chunk of this.#chunks(pass)) {
      const inputs = this.#inputs(pass, chunk);
      const outputs = this.#blockOf(pass).forward(inputs, weights.views, pass.workspace);
      await this.#read(outputs, numbers, chunk);
    }
    return numbers;
  }

  /**
   * Adds the head's gradients to the sink and returns the gradient of the hidden states, `[T, D]`.
   *
   * A single chunk runs forward once. Several run forward twice: first for all scores, then with their backward pass,
   * so that one chunk's activations are in memory at a time.
   *
   * @param lossGradient from the numbers of rows to the derivative of the loss by each
   */
  async backward(
    pass: HeadPass,
    lossGradient: (numbers: RowNumbers) => RowNumbers,
    sink: GradientSink,
  ): Promise<View> {
    const { hidden, workspace } = pass;
    const { operations } = this.#device;
    const chunks = this.#chunks(pass);
    const numbers = this.#blank(pass);
    const block = this.#blockOf(pass);
    const kept: Saved[] = [];
    using weights = await this.#weights.source.take(moduleNames.head, this.#lastLayer);
    using accumulators = await sink.take(moduleNames.head);
    const forward = (chunk: Slice): { outputs: Views; saved: Saved } =>
      block.forwardSaving(this.#inputs(pass, chunk), weights.views, workspace);
    for (const chunk of chunks) {
      if (chunks.length === 1) {
        const { outputs, saved } = forward(chunk);
        kept.push(saved);
        await this.#read(outputs, numbers, chunk);
      } else {
        const inputs = this.#inputs(pass, chunk);
        using _ = workspace.scope();
        await this.#read(block.forward(inputs, weights.views, workspace), numbers, chunk);
      }
    }
    const derivatives = lossGradient(numbers);
    const gradient = workspace.take(hidden.dtype, hidden.shape);
    operations.zero(gradient);
    for (const chunk of chunks) {
      using _ = workspace.scope();
      const saved = kept.pop() ?? forward(chunk).saved;
      const given = Object.fromEntries(
        derivatives.map((values, i) => {
          const part = values!.subarray(chunk.start, chunk.end);
          return [this.#outputs[i]!, workspace.put(tensorOf('f32', [chunk.length], part))];
        }),
      );
      const gradients = block.backward(saved, weights.views, given, accumulators.views, workspace);
      operations.addRows(gradients['hidden']!, this.#rows(pass, chunk), gradient);
    }
    return gradient;
  }

  #chunks({ batch }: HeadPass): Slice[] {
    return [...slices(batch.scoredRows.length, this.#chunkRows)];
  }

  #inputs(pass: HeadPass, chunk: Slice): Views {
    const { hidden, workspace } = pass;
    const selected = workspace.take(hidden.dtype, [chunk.length, hidden.shape[1]!]);
    this.#device.operations.gatherRows(hidden, this.#rows(pass, chunk), selected);
    const others = this.#isPolicy ? policyInputs(pass, chunk) : {};
    return { hidden: selected, ...putAll(workspace, others) };
  }

  #rows({ batch, workspace }: HeadPass, { start, end }: Slice): View<'i32'> {
    return putIndex(workspace, batch.scoredRows.subarray(start, end));
  }

  #blank({ batch, withEntropies }: HeadPass): RowNumbers {
    const blank = (): Float32Array => new Float32Array(batch.scoredRows.length);
    return withEntropies ? [blank(), blank()] : [blank()];
  }

  #blockOf({ withEntropies }: HeadPass): Block {
    return this.#blocks[withEntropies ? 1 : 0]!;
  }

  /** Names of the graph's outputs, in the order of a row's numbers. */
  get #outputs(): readonly string[] {
    return this.#isPolicy ? ['logProbs', 'entropies'] : ['values'];
  }

  async #read(outputs: Views, into: RowNumbers, { start }: Slice): Promise<void> {
    for (const [i, values] of into.entries()) {
      values!.set(floatsOf(await this.#device.download(outputs[this.#outputs[i]!]!)), start);
    }
  }

  [Symbol.dispose](): void {
    for (const block of this.#blocks) block?.[Symbol.dispose]();
  }
}

/** Inputs of a policy's head besides hidden rows and weights, for a slice of the scored rows. */
function policyInputs({ batch, temperature }: HeadPass, { start, end, length }: Slice): Tensors {
  return {
    targets: tensorOf('i64', [length, 1], Array.from(batch.targets.subarray(start, end))),
    inverseTemperature: tensorOf('f32', [], [1 / temperature]),
  };
}
