import { CxmindError } from '../errors.ts';
import type { DType } from '../tensor/dtype.ts';
import { numbersOf } from '../tensor/numbers.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import { isFloat } from './ir.ts';
import type { Dim, Graph, GraphOutput, Node, Value, ValueType } from './ir.ts';
import { attributesText, numberText } from './number-text.ts';
import { opOf, type OpAttributes, type OpName } from './ops/table.ts';
import { normalDim } from './dim.ts';

/**
 * Inputs, constants, nodes and outputs of a graph under construction.
 *
 * Shapes and dtypes are inferred and checked as each node is written. The same op on the same operands twice gives the
 * same value, so common subexpressions stand in the graph once.
 */
export class NodeBuilder {
  readonly name: string;
  readonly #inputs: Value[] = [];
  readonly #outputs: GraphOutput[] = [];
  readonly #nodes: Node[] = [];
  readonly #constants = new Map<number, Tensor>();
  readonly #producers = new Map<number, Node>();
  /** Outputs of the nodes written so far, by `keyOf`. */
  readonly #written = new Map<string, readonly Value[]>();
  readonly #scalars = new Map<string, Value>();
  #nextId = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** A builder that continues a finished graph, less its outputs; the graph's values may be used as operands. */
  static from<Builder extends NodeBuilder>(
    this: new (name: string) => Builder,
    graph: Graph,
  ): Builder {
    const builder = new this(graph.name);
    builder.#inputs.push(...graph.inputs);
    for (const [id, tensor] of graph.constants) builder.#constants.set(id, tensor);
    for (const node of graph.nodes) builder.#append(node);
    const values = [...graph.inputs, ...graph.nodes.flatMap((node) => node.outputs)];
    const ids = [...values.map(({ id }) => id), ...graph.constants.keys()];
    builder.#nextId = ids.reduce((last, id) => Math.max(last, id), -1) + 1;
    return builder;
  }

  /** The graph as written so far, with the nodes that no output needs. */
  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      nodes: [...this.#nodes],
      constants: new Map(this.#constants),
    };
  }

  /** A value that the caller binds at run time. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    if (this.#inputs.some((input) => input.name === name)) {
      throw new CxmindError('GRAPH_INVALID', `${this.name}: two inputs are called '${name}'`);
    }
    const value = this.#value(name, { dtype, shape: shape.map(normalDim) });
    this.#inputs.push(value);
    return value;
  }

  /** Names a value as a result. */
  output(name: string, value: Value): void {
    if (this.#outputs.some((output) => output.name === name)) {
      throw new CxmindError('GRAPH_INVALID', `${this.name}: two outputs are called '${name}'`);
    }
    this.#outputs.push({ name, value });
  }

  /** A tensor that is part of the graph. */
  constant(tensor: Tensor, name = 'constant'): Value {
    const value = this.#value(`${name}_${this.#nextId}`, tensor);
    this.#constants.set(value.id, tensor);
    return value;
  }

  /** A number that is part of the graph. */
  scalar(value: number, dtype: DType = 'f32'): Value {
    const key = `${dtype}:${numberText(value)}`;
    const known = this.#scalars.get(key);
    if (known !== undefined) return known;
    const result = this.constant(tensorOf(dtype, [], [value]), 'scalar');
    this.#scalars.set(key, result);
    return result;
  }

  /** Applies any op of the table. */
  apply<K extends OpName>(
    op: K,
    inputs: readonly Value[],
    attributes: OpAttributes[K],
  ): readonly Value[] {
    const known = this.#written.get(keyOf({ op, inputs, attributes }));
    if (known !== undefined) return known;
    const types = this.#infer(op, inputs, attributes);
    const outputs = types.map((type) => this.#value(`${op}_${this.#nextId}`, type));
    // The node is built from the op's own attribute type, which the union over ops cannot express.
    this.#append({ op, inputs, attributes, outputs });
    return outputs;
  }

  /** The node that makes a value; none for inputs and constants. */
  producer(value: Value): Node | undefined {
    return this.#producers.get(value.id);
  }

  /** The tensor of a constant; none for other values. */
  constantOf(value: Value): Tensor | undefined {
    return this.#constants.get(value.id);
  }

  /** True if a value is written as zeros: the number, or the number expanded. */
  isZero(value: Value): boolean {
    return this.isNumber(this.unexpanded(value), 0);
  }

  /** The first result of an op. */
  protected one<K extends OpName>(
    op: K,
    inputs: readonly Value[],
    attributes: OpAttributes[K],
  ): Value {
    return this.apply(op, inputs, attributes)[0]!;
  }

  /** True if a value is a float constant of one element that has this number. */
  protected isNumber(value: Value, number: number): boolean {
    const tensor = this.#constants.get(value.id);
    return tensor?.data.length === 1 && isFloat(tensor.dtype) && numbersOf(tensor)[0] === number;
  }

  /** The operand of an `expand`; other values as they are. */
  protected unexpanded(value: Value): Value {
    const node = this.producer(value);
    return node?.op === 'expand' ? node.inputs[0]! : value;
  }

  #infer(op: OpName, inputs: readonly Value[], attributes: unknown): readonly ValueType[] {
    try {
      return opOf(op).infer(inputs, attributes);
    } catch (error) {
      if (!(error instanceof CxmindError)) throw error;
      throw new CxmindError(error.code, `${error.message} (${this.name})`, {
        detail: { ...error.detail, graph: this.name, inputs: inputs.map((input) => input.name) },
        cause: error,
      });
    }
  }

  #value(name: string, { dtype, shape }: ValueType): Value {
    return { id: this.#nextId++, name, dtype, shape };
  }

  #append(node: Node): void {
    this.#nodes.push(node);
    for (const output of node.outputs) this.#producers.set(output.id, node);
    this.#written.set(keyOf(node), node.outputs);
  }
}

/** Text that only nodes which compute the same have in common. */
function keyOf({ op, inputs, attributes }: Pick<Node, 'op' | 'inputs' | 'attributes'>): string {
  return `${op}(${inputs.map((input) => input.id).join()})${attributesText(attributes)}`;
}
