import type { Device, View, Workspace } from '../device/device.ts';
import { putAll, staging } from '../device/host-tensors.ts';
import { Turns } from '../turns.ts';
import { sharedByLayers, type PlacedAdapter } from './adapters/adapter.ts';
import type { HeadKind } from './architecture.ts';
import type { PackedBatch } from './batch.ts';
import { Block, type Saved } from './block.ts';
import { decoderLayers } from './decoder-layers.ts';
import { decoderLayerGraph } from './decoder/layer.ts';
import { Embedder, type EmbeddedBatch } from './embedder.ts';
import { formFor, type GraphForm } from './graph-form.ts';
import type { ModelConfig } from './model-config.ts';
import { modelWeights, trainedInputs, type ModelWeights } from './model-weights.ts';
import { ScoringHead, type RowNumbers } from './scoring-head.ts';
import { sequenceInputs } from './sequence-inputs.ts';
import type { AnyArena } from './weights/device-arena.ts';
import { isVisionModule, moduleNames } from './weights/modules.ts';
import type { Lease } from './weights/weight-source.ts';

/** Options of a network. */
export interface NetworkOptions {
  /** Recomputes the activations inside each block in the backward pass, which saves memory. */
  readonly gradientCheckpointing: boolean;
  /** Trained in place of the weights, which then stay as they are; none when left out. */
  readonly adapter?: PlacedAdapter | null;
  /** True where the vision tower's weights never change, so that image embeddings can be kept between passes. */
  readonly isVisionFixed?: boolean;
  /** Tokens that a policy never gives a probability, as its rollouts never sample them; none when left out. */
  readonly bannedTokens?: readonly number[];
}

/** The parts of a forward pass that keep what their backward pass needs. */
interface Saving {
  readonly layers: boolean;
  readonly vision: boolean;
}

/** A function from the scores of rows, f32 `[R]`, to the derivative of a loss by each, `[R]`. */
export type LossGradient = (scores: Float32Array) => Float32Array;

/** A policy's loss gradient that reads the entropies of the rows' distributions too, f32 `[R]`, nats. */
export interface EntropyLossGradient {
  readonly withEntropies: (
    scores: Float32Array,
    entropies: Float32Array,
  ) => readonly [ofScores: Float32Array, ofEntropies: Float32Array];
}

interface Pass {
  readonly embedded: EmbeddedBatch;
  readonly layers: readonly Saved[];
  readonly hidden: View; // [T, D]
}

/**
 * A vision-language model with a head, over an arena of weights: one score for each scored row of packed sequences, and
 * the gradients of a loss of these scores. A policy's scores are log-probabilities, a value model's are values: that of a
 * response token is the value of the row before it, which predicts it.
 *
 * Passes run module by module: the embedder, the decoder layers, the head. They compute in the dtype of the weights;
 * gradients add up in f32. Weights are read where they lie, so an optimizer may step them in place between two passes.
 * One pass runs at a time: a call waits for those before it.
 */
export class Network implements Disposable {
  readonly config: ModelConfig;
  readonly #device: Device;
  readonly #form: GraphForm;
  readonly #weights: ModelWeights;
  readonly #embedder: Embedder;
  readonly #layers: readonly Block[];
  readonly #head: ScoringHead;
  readonly #workspace: Workspace;
  readonly #turns = new Turns();
  readonly #owned: DisposableStack;

  constructor(
    device: Device,
    config: ModelConfig,
    arena: AnyArena,
    head: HeadKind,
    {
      gradientCheckpointing,
      adapter = null,
      isVisionFixed = false,
      bannedTokens = [],
    }: NetworkOptions,
  ) {
    this.config = config;
    this.#device = device;
    this.#form = formFor(device);
    const weights = modelWeights(device, config, head, { arena, adapter });
    this.#weights = weights;
    using owned = new DisposableStack();
    this.#workspace = owned.use(device.workspace());
    const save = gradientCheckpointing ? 'nothing' : 'costly';
    this.#layers = sharedByLayers(
      decoderLayers(config.text),
      weights.adapters,
      (text, own, name) => {
        const graph = decoderLayerGraph(text, own, weights.dtype, this.#form);
        const parameters = trainedInputs(weights, name);
        return owned.use(new Block(device, graph, { parameters, activations: ['hidden'], save }));
      },
    );
    this.#head = owned.use(new ScoringHead(device, config, head, weights, bannedTokens));
    this.#embedder = owned.use(new Embedder(device, config, weights, { save, isVisionFixed }));
    this.#owned = owned.move();
  }

  /**
   * The score of each entry of `batch.scoredRows`, f32 `[R]`.
   *
   * @param temperature divides a policy's logits before the softmax
   */
  scores(batch: PackedBatch, temperature = 1): Promise<Float32Array> {
    return this.#turns.run(async () => {
      return (await this.#numbers(batch, temperature, false))[0];
    });
  }

  /**
   * Runs one forward and one backward pass, and adds the gradients to `gradients`.
   *
   * @param temperature divides a policy's logits before the softmax
   * @param lossGradient the derivative of the loss by the scores, and by the entropies where it reads them
   * @param gradients an arena laid out as what is trained: the weights, the weights without the vision tower, or
   *   the adapters
   */
  accumulateGradients(
    batch: PackedBatch,
    temperature: number,
    lossGradient: LossGradient | EntropyLossGradient,
    gradients: AnyArena<'f32'>,
  ): Promise<void> {
    return this.#turns.run(async () => {
      const workspace = this.#workspace;
      workspace.reset();
      const sink = this.#weights.sink(gradients);
      const vision = [...sink.trained].some(isVisionModule);
      const { embedded, layers, hidden } = await this.#forward(batch, { layers: true, vision });
      const withEntropies = typeof lossGradient !== 'function';
      const derivatives = ([scores, entropies]: RowNumbers): RowNumbers =>
        withEntropies ? lossGradient.withEntropies(scores, entropies!) : [lossGradient(scores)];
      const pass = { batch, hidden, temperature, withEntropies, workspace };
      let gradient = await this.#head.backward(pass, derivatives, sink);
      const deepstack: View[] = [];
      for (let i = this.config.text.layers - 1; i >= 0; i--) {
        using weights = await this.#takeLayer(i, i - 1);
        using accumulators = await sink.take(moduleNames.layer(i));
        const added = this.#embedder.deepstackGradient(embedded, i, gradient, workspace);
        if (added !== null) deepstack[i] = added;
        const given = { output: gradient };
        const block = this.#layers[i]!;
        const { views: sums } = accumulators;
        const results = block.backward(layers[i]!, weights.views, given, sums, workspace);
        gradient = results['hidden']!;
      }
      await this.#embedder.backward(batch, embedded, { gradient, deepstack }, sink, workspace);
    });
  }

  /** The scores and the entropies of a policy's rows, f32 `[R]` each; arguments as in `scores`. */
  protected scoresAndEntropies(
    batch: PackedBatch,
    temperature: number,
  ): Promise<readonly [Float32Array, Float32Array]> {
    return this.#turns.run(async () => {
      const [scores, entropies] = await this.#numbers(batch, temperature, true);
      return [scores, entropies!] as const;
    });
  }

  /** Bytes of activation memory held for reuse. */
  get workspaceBytes(): number {
    return this.#workspace.sizeBytes;
  }

  async #numbers(
    batch: PackedBatch,
    temperature: number,
    withEntropies: boolean,
  ): Promise<RowNumbers> {
    const workspace = this.#workspace;
    workspace.reset();
    const { hidden } = await this.#forward(batch, { layers: false, vision: false });
    return this.#head.scores({ batch, hidden, temperature, withEntropies, workspace });
  }

  async #forward(batch: PackedBatch, saving: Saving): Promise<Pass> {
    const { text } = this.config;
    const embedded = await this.#embedder.forward(batch, this.#workspace, saving.vision);
    const allocate = staging(this.#device, this.#workspace);
    const shared = putAll(this.#workspace, sequenceInputs(batch, text, this.#form, allocate));
    const layers: Saved[] = [];
    const { dtype, shape } = embedded.hidden;
    // Without a backward pass two buffers take turns.
    const spare = saving.layers ? null : this.#workspace.take(dtype, shape);
    let [hidden, next] = [embedded.hidden, spare];
    for (let i = 0; i < text.layers; i++) {
      const block = this.#layers[i]!;
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
      this.#embedder.addDeepstack(embedded, i, hidden, this.#workspace);
    }
    return { embedded, layers, hidden };
  }

  /** Takes the weights of a layer, and announces those of the next one, or of the head after the last. */
  #takeLayer(layer: number, next: number): Promise<Lease> {
    const { source } = this.#weights;
    const following = next < this.config.text.layers ? moduleNames.layer(next) : moduleNames.head;
    return source.take(moduleNames.layer(layer), next < 0 ? undefined : following);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
