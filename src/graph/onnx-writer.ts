import { CxmindError } from '../errors.ts';
import type { DType } from '../tensor/dtype.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { evaluateDim } from './dim.ts';
import type { Dim, Graph, Value } from './ir.ts';
import { numberText } from './number-text.ts';
import type { Unit } from './passes.ts';
import { attributeProto, tensorProto } from './onnx-proto.ts';
import type { Emitter, NodeArg, OnnxAttribute } from './ops/op.ts';

/** Collects the ONNX nodes and initializers of one graph, and names its values. */
export class OnnxWriter implements Emitter {
  readonly nodes: object[] = [];
  readonly initializers: object[] = [];
  readonly #graph: Graph;
  readonly #names = new Map<number, string>();
  readonly #taken: Set<string>;
  readonly #read: ReadonlySet<number>;
  readonly #shared = new Map<string, string>();
  #counter = 0;

  /** @param units the nodes of the graph, or fused ones in their place, in order */
  constructor(graph: Graph, units: readonly Unit[]) {
    this.#graph = graph;
    for (const input of graph.inputs) this.#names.set(input.id, input.name);
    this.#taken = new Set([
      ...graph.inputs.map((input) => input.name),
      ...graph.outputs.map((output) => output.name),
    ]);
    const made = new Set(units.flatMap((unit) => unit.outputs.map((value) => value.id)));
    for (const { name, value } of graph.outputs) {
      if (made.has(value.id) && !this.#names.has(value.id)) this.#names.set(value.id, name);
    }
    const read = [...units.flatMap((u) => u.inputs), ...graph.outputs.map((o) => o.value)];
    this.#read = new Set(read.map((value) => value.id));
    for (const value of [...read, ...units.flatMap((u) => u.outputs)]) {
      if (!this.#names.has(value.id)) this.#names.set(value.id, this.#fresh(value.name));
    }
    for (const [id, tensor] of graph.constants) {
      // A number in a kernel's source has no name here.
      const name = this.#names.get(id);
      if (name !== undefined) this.initializers.push(tensorProto(name, tensor));
    }
  }

  node(
    type: string,
    inputs: readonly NodeArg[],
    outputs: readonly NodeArg[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain = '',
  ): void {
    this.nodes.push({
      input: inputs.map((arg) => this.name(arg)),
      output: outputs.map((arg) => this.name(arg)),
      name: `${type}_${this.nodes.length}`,
      opType: type,
      attribute: Object.entries(attributes).map(([key, value]) => attributeProto(key, value)),
      domain,
    });
  }

  inner(
    type: string,
    inputs: readonly NodeArg[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string {
    const output = this.temporary();
    this.node(type, inputs, [output], attributes);
    return output;
  }

  name(arg: NodeArg): string {
    return typeof arg === 'string' ? arg : this.#names.get(arg.id)!;
  }

  isRead(value: Value): boolean {
    return this.#read.has(value.id);
  }

  temporary(): string {
    return this.#fresh(`inner_${this.#counter++}`);
  }

  cast(from: NodeArg, to: DType): string {
    const name = this.name(from);
    if (typeof from !== 'string' && from.dtype === to) return name;
    return this.#once(`cast ${name} ${to}`, (cast) => {
      this.node('Cast', [name], [cast], { to: { dtype: to } });
    });
  }

  ints(values: readonly number[]): string {
    return this.#once(`ints ${values.join()}`, (name) => {
      const tensor = tensorOf('i64', [values.length], values);
      this.initializers.push(tensorProto(name, tensor));
    });
  }

  scalar(value: number, dtype: DType): string {
    return this.#once(`scalar ${dtype} ${numberText(value)}`, (name) => {
      this.initializers.push(tensorProto(name, tensorOf(dtype, [], [value])));
    });
  }

  dims(dims: readonly Dim[]): string {
    if (dims.every((dim) => typeof dim === 'number')) return this.ints(dims);
    if (dims.length === 1) return this.#dim(dims[0]!);
    return this.#once(`dims ${dims.join()}`, (name) => {
      const parts = dims.map((dim) => this.#dim(dim));
      this.node('Concat', parts, [name], { axis: { int: 0 } });
    });
  }

  /** One dimension as an i64 vector of one element. */
  #dim(dim: Dim): string {
    const known = typeof dim === 'string' ? this.#dimOfInput(dim) : undefined;
    if (known !== undefined) return known;
    return evaluateDim(dim, {
      number: (value) => this.ints([value]),
      symbol: (symbol) => {
        const name = this.#dimOfInput(symbol);
        if (name !== undefined) return name;
        throw new CxmindError(
          'GRAPH_INVALID',
          `${this.#graph.name}: dimension '${symbol}' is in no input's shape`,
        );
      },
      binary: (operator, left, right) =>
        this.#once(`dim ${left} ${operator} ${right}`, (name) => {
          const type = { '+': 'Add', '-': 'Sub', '*': 'Mul', '/': 'Div' }[operator];
          this.node(type, [left, right], [name]);
        }),
    });
  }

  #dimOfInput(dim: string): string | undefined {
    for (const input of this.#graph.inputs) {
      const axis = input.shape.indexOf(dim);
      if (axis < 0) continue;
      return this.#once(`dim ${dim}`, (name) => {
        this.node('Shape', [input.name], [name], { start: { int: axis }, end: { int: axis + 1 } });
      });
    }
    return undefined;
  }

  #once(key: string, write: (name: string) => void): string {
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const name = this.temporary();
    this.#shared.set(key, name);
    write(name);
    return name;
  }

  #fresh(wanted: string): string {
    let name = wanted;
    while (this.#taken.has(name)) name += '_';
    this.#taken.add(name);
    return name;
  }
}
