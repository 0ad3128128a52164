import { CxmindError } from '../errors.ts';
import { differentiate } from '../graph/backward.ts';
import { encode } from '../graph/encode.ts';
import type { Dim, Graph, Value } from '../graph/ir.ts';
import { evaluateDim } from '../graph/shape.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Session } from '../ort/session.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Workspace } from '../tensor/workspace.ts';

/** Tensors by the name under which a graph takes or gives them. */
export type Named = Readonly<Record<string, Tensor>>;

/** What a saving forward pass leaves for the backward pass. */
export interface Saved {
  readonly inputs: Named;
  readonly tensors: Named;
}

/** What of a block's graph is trained and what its gradients flow through. */
export interface BlockOptions {
  /** Graph inputs that are weights; their gradients are accumulated. */
  readonly parameters: readonly string[];
  /** Other graph inputs whose gradients the caller wants. */
  readonly activations: readonly string[];
  /** `needed` keeps what the backward pass reads; `inputs` computes all of it again (gradient checkpointing). */
  readonly save: 'needed' | 'inputs';
}

interface Training {
  readonly forward: Compiled;
  readonly backward: Compiled;
}

interface Compiled {
  readonly graph: Graph;
  readonly session: Session;
}

/**
 * One kind of block (decoder layer, vision block, head): compiled once, run for every layer with that
 * layer's weights bound. Sessions are made when first used.
 */
export class Block implements Disposable {
  readonly #runtime: Runtime;
  readonly #graph: Graph;
  readonly #options: BlockOptions;
  #inference: Compiled | undefined;
  #training: Training | undefined;

  constructor(runtime: Runtime, graph: Graph, options: BlockOptions) {
    this.#runtime = runtime;
    this.#graph = graph;
    this.#options = options;
  }

  /** The block's outputs, with nothing kept for a backward pass; written to `into` where it names them. */
  forward(inputs: Named, workspace: Workspace, into: Named = {}): Named {
    this.#inference ??= this.#compile(this.#graph);
    return run(this.#inference, inputs, workspace, into);
  }

  /** The block's outputs, and what `backward` will need. */
  forwardSaving(inputs: Named, workspace: Workspace): { outputs: Named; saved: Saved } {
    const results = run(this.#trained().forward, inputs, workspace, {});
    const outputs: Record<string, Tensor> = {};
    const tensors: Record<string, Tensor> = {};
    const names = new Set(this.#graph.outputs.map((output) => output.name));
    for (const [name, tensor] of Object.entries(results)) {
      (names.has(name) ? outputs : tensors)[name] = tensor;
    }
    return { outputs, saved: { inputs, tensors } };
  }

  /**
   * Adds the parameters' gradients to `accumulators` in place and returns those of the activations.
   *
   * @param outputGradients by output name
   * @param accumulators by parameter name, of the parameter's shape
   */
  backward(saved: Saved, outputGradients: Named, accumulators: Named, workspace: Workspace): Named {
    const { backward } = this.#trained();
    const inputs: Record<string, Tensor> = { ...saved.inputs, ...saved.tensors };
    const inPlace: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(outputGradients)) inputs[`grad.${name}`] = tensor;
    for (const name of this.#options.parameters) {
      const accumulator = accumulators[name];
      if (accumulator === undefined) {
        throw new CxmindError('INTERNAL', `${this.#graph.name}: no accumulator for ${name}`);
      }
      inputs[`accum.${name}`] = accumulator;
      inPlace[`grad.${name}`] = accumulator;
    }
    const results = run(backward, inputs, workspace, inPlace);
    return Object.fromEntries(
      this.#options.activations.map((name) => [name, results[`grad.${name}`]!]),
    );
  }

  #compile(graph: Graph): Compiled {
    return { graph, session: this.#runtime.compile(encode(graph), { name: graph.name }) };
  }

  #trained(): Training {
    if (this.#training === undefined) {
      const { parameters, activations, save } = this.#options;
      const { forward, backward } = differentiate(this.#graph, {
        wrt: [...activations, ...parameters],
        accumulate: parameters,
        save,
      });
      this.#training = { forward: this.#compile(forward), backward: this.#compile(backward) };
    }
    return this.#training;
  }

  [Symbol.dispose](): void {
    this.#inference?.session[Symbol.dispose]();
    this.#training?.forward.session[Symbol.dispose]();
    this.#training?.backward.session[Symbol.dispose]();
  }
}

/** Runs a compiled graph on the inputs it names (others are ignored), outputs in the workspace or in place. */
function run(
  { graph, session }: Compiled,
  inputs: Named,
  workspace: Workspace,
  inPlace: Named,
): Record<string, Tensor> {
  using binding = session.bind();
  for (const { name } of graph.inputs) {
    const tensor = inputs[name];
    if (tensor === undefined) throw new CxmindError('INTERNAL', `${graph.name}: no input ${name}`);
    binding.input(name, tensor);
  }
  const sizes = symbolSizes(graph.inputs, inputs);
  const results: Record<string, Tensor> = {};
  for (const { name, value } of graph.outputs) {
    const shape = value.shape.map((dim) => sizeOfDim(dim, sizes));
    const tensor = inPlace[name] ?? workspace.take(value.dtype, shape);
    binding.output(name, tensor);
    results[name] = tensor;
  }
  binding.run();
  return results;
}

/** The size of every plain symbol, read off the tensors bound to the inputs. */
function symbolSizes(values: readonly Value[], inputs: Named): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const value of values) {
    for (const [axis, dim] of value.shape.entries()) {
      if (typeof dim === 'string') sizes.set(dim, inputs[value.name]!.shape[axis]!);
    }
  }
  return sizes;
}

function sizeOfDim(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  if (typeof dim === 'number') return dim;
  return (
    sizes.get(dim) ??
    evaluateDim<number>(dim, {
      number: (value) => value,
      symbol: (name) => {
        const size = sizes.get(name);
        if (size === undefined) throw new CxmindError('INTERNAL', `no input has dimension ${name}`);
        return size;
      },
      binary: (operator, a, b) =>
        operator === '+' ? a + b : operator === '-' ? a - b : operator === '*' ? a * b : a / b,
    })
  );
}
