import type { SavePolicy } from '../graph/partition.ts';
import type { Device, Program, View, Views, Workspace } from '../device/device.ts';
import { CxmindError } from '../errors.ts';
import { differentiate } from '../graph/backward.ts';
import type { Graph } from '../graph/ir.ts';

/** Tensors that a forward pass saves for the backward pass. */
export interface Saved {
  /** Inputs of the forward pass without the weights, which may be elsewhere in between. */
  readonly inputs: Views;
  readonly tensors: Views;
}

/** Inputs of a block's graph that get gradients, and the activations it saves. */
export interface BlockOptions {
  /** Weights that are trained; their gradients are accumulated. */
  readonly parameters: readonly string[];
  /** Other inputs whose gradients `backward` returns. */
  readonly activations: readonly string[];
  /** `needed` saves the tensors that the backward pass reads; `inputs` recomputes them (gradient checkpointing). */
  readonly save: SavePolicy;
}

interface Training {
  readonly forward: Program;
  readonly backward: Program;
}

/**
 * One kind of block, such as a decoder layer or a head: compiled once, at the first use, and run for every layer with
 * that layer's weights. Its backward graph is derived from the forward graph.
 */
export class Block implements Disposable {
  readonly #device: Device;
  readonly #graph: Graph;
  readonly #options: BlockOptions;
  #inference: Program | undefined;
  #training: Training | undefined;

  constructor(device: Device, graph: Graph, options: BlockOptions) {
    this.#device = device;
    this.#graph = graph;
    this.#options = options;
  }

  /** Computes the block's outputs, and saves nothing. Outputs that `into` names are written there. */
  forward(inputs: Views, weights: Views, workspace: Workspace, into: Views = {}): Views {
    this.#inference ??= this.#device.compile(this.#graph);
    return this.#inference.run({ ...inputs, ...weights }, workspace, into);
  }

  /** Computes the block's outputs, and saves tensors for `backward`. */
  forwardSaving(
    inputs: Views,
    weights: Views,
    workspace: Workspace,
  ): { outputs: Views; saved: Saved } {
    const results = this.#trained().forward.run({ ...inputs, ...weights }, workspace);
    const outputs: Record<string, View> = {};
    const tensors: Record<string, View> = {};
    const names = new Set(this.#graph.outputs.map((output) => output.name));
    for (const [name, view] of Object.entries(results)) {
      (names.has(name) ? outputs : tensors)[name] = view;
    }
    return { outputs, saved: { inputs, tensors } };
  }

  /**
   * Adds the parameters' gradients to `accumulators` in place and returns the gradients of the activations.
   *
   * @param outputGradients by output name
   * @param accumulators by parameter name, each of the parameter's shape
   */
  backward(
    { inputs, tensors }: Saved,
    weights: Views,
    outputGradients: Views,
    accumulators: Views,
    workspace: Workspace,
  ): Views {
    const given: Record<string, View> = { ...inputs, ...weights, ...tensors };
    const inPlace: Record<string, View> = {};
    for (const [name, view] of Object.entries(outputGradients)) given[`grad.${name}`] = view;
    for (const name of this.#options.parameters) {
      const accumulator = accumulators[name];
      if (accumulator === undefined) {
        throw new CxmindError('INTERNAL', `${this.#graph.name}: no accumulator for ${name}`);
      }
      given[`accum.${name}`] = accumulator;
      inPlace[`grad.${name}`] = accumulator;
    }
    const results = this.#trained().backward.run(given, workspace, inPlace);
    return Object.fromEntries(
      this.#options.activations.map((name) => [name, results[`grad.${name}`]!]),
    );
  }

  #trained(): Training {
    if (this.#training === undefined) {
      const { parameters, activations, save } = this.#options;
      const { forward, backward } = differentiate(this.#graph, {
        wrt: [...activations, ...parameters],
        accumulate: parameters,
        save,
      });
      this.#training = {
        forward: this.#device.compile(forward),
        backward: this.#device.compile(backward),
      };
    }
    return this.#training;
  }

  [Symbol.dispose](): void {
    this.#inference?.[Symbol.dispose]();
    this.#training?.forward[Symbol.dispose]();
    this.#training?.backward[Symbol.dispose]();
  }
}
