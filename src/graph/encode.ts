import protobuf from 'protobufjs';
import { CxmindError } from '../errors.ts';
import type { DType } from '../tensor/dtype.ts';
import { tensorOf, type Tensor } from '../tensor/tensor.ts';
import { fuse } from './fuse/fuse.ts';
import type { Dim, Graph, Node, Value, ValueType } from './ir.ts';
import type { Step } from './kernel.ts';
import { numberText } from './number-text.ts';
import type { Emitter, OnnxAttribute } from './ops/op.ts';
import { opOf } from './ops/table.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import { prune } from './passes.ts';
import { evaluateDim } from './shape.ts';
import { cpu, lower, type Target } from './target.ts';

const irVersion = 10;
const opsetVersion = 21;

const attributeKinds = { float: 1, int: 2, text: 3, ints: 7 } as const;

type Fields = Record<string, [type: string, id: number, rule?: 'repeated']>;

/** The ONNX messages that a model needs, by their published field numbers. */
const messages: Record<string, Fields> = {
  ModelProto: {
    irVersion: ['int64', 1],
    producerName: ['string', 2],
    graph: ['GraphProto', 7],
    opsetImport: ['OperatorSetIdProto', 8, 'repeated'],
  },
  OperatorSetIdProto: { domain: ['string', 1], version: ['int64', 2] },
  GraphProto: {
    node: ['NodeProto', 1, 'repeated'],
    name: ['string', 2],
    initializer: ['TensorProto', 5, 'repeated'],
    input: ['ValueInfoProto', 11, 'repeated'],
    output: ['ValueInfoProto', 12, 'repeated'],
  },
  NodeProto: {
    input: ['string', 1, 'repeated'],
    output: ['string', 2, 'repeated'],
    name: ['string', 3],
    opType: ['string', 4],
    attribute: ['AttributeProto', 5, 'repeated'],
    domain: ['string', 7],
  },
  AttributeProto: {
    name: ['string', 1],
    f: ['float', 2],
    i: ['int64', 3],
    s: ['bytes', 4],
    ints: ['int64', 8, 'repeated'],
    type: ['int32', 20],
  },
  TensorProto: {
    dims: ['int64', 1, 'repeated'],
    dataType: ['int32', 2],
    name: ['string', 8],
    rawData: ['bytes', 9],
  },
  ValueInfoProto: { name: ['string', 1], type: ['TypeProto', 2] },
  TypeProto: { tensorType: ['TensorTypeProto', 1] },
  TensorTypeProto: { elemType: ['int32', 1], shape: ['TensorShapeProto', 2] },
  TensorShapeProto: { dim: ['DimensionProto', 1, 'repeated'] },
  DimensionProto: { dimValue: ['int64', 1], dimParam: ['string', 2] },
};

function schema(): protobuf.Type {
  const nested: Record<string, protobuf.IType> = {};
  for (const [name, fields] of Object.entries(messages)) {
    nested[name] = {
      fields: Object.fromEntries(
        Object.entries(fields).map(([field, [type, id, rule]]) => [
          field,
          { type, id, ...(rule === undefined ? {} : { rule }) },
        ]),
      ),
    };
  }
  return protobuf.Root.fromJSON({ nested }).lookupType('ModelProto');
}

function tensorProto(name: string, tensor: Tensor): object {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return {
    dims: tensor.shape,
    dataType: onnxDTypes[tensor.dtype],
    name,
    rawData: new Uint8Array(buffer, byteOffset, byteLength).slice(),
  };
}

function valueInfo(name: string, { dtype, shape }: ValueType): object {
  const dim = shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: onnxDTypes[dtype], shape: { dim } } } };
}

function attributeProto(name: string, attribute: OnnxAttribute): object {
  if ('float' in attribute) return { name, type: attributeKinds.float, f: attribute.float };
  if ('int' in attribute) return { name, type: attributeKinds.int, i: attribute.int };
  if ('ints' in attribute) return { name, type: attributeKinds.ints, ints: attribute.ints };
  if ('text' in attribute) {
    return { name, type: attributeKinds.text, s: new TextEncoder().encode(attribute.text) };
  }
  return { name, type: attributeKinds.int, i: onnxDTypes[attribute.dtype] };
}

/** What a part of a model reads and writes. */
type Ends = Pick<Node, 'inputs' | 'outputs'>;

/** Collects ONNX nodes and initializers for one graph. */
class OnnxWriter implements Emitter {
  readonly nodes: object[] = [];
  readonly initializers: object[] = [];
  readonly #graph: Graph;
  readonly #names = new Map<number, string>();
  readonly #taken: Set<string>;
  readonly #read: ReadonlySet<number>;
  readonly #shared = new Map<string, string>();
  #counter = 0;

  /** @param units what the graph's nodes are written as, in order */
  constructor(graph: Graph, units: readonly Ends[]) {
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
      // Numbers that stand in kernels' sources have no name here.
      const name = this.#names.get(id);
      if (name !== undefined) this.initializers.push(tensorProto(name, tensor));
    }
  }

  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain = '',
  ): void {
    this.nodes.push({
      input: inputs,
      output: outputs,
      name: `${type}_${this.nodes.length}`,
      opType: type,
      attribute: Object.entries(attributes).map(([key, value]) => attributeProto(key, value)),
      domain,
    });
  }

  name(value: Value): string {
    return this.#names.get(value.id)!;
  }

  isRead(value: Value): boolean {
    return this.#read.has(value.id);
  }

  temporary(): string {
    return this.#fresh(`inner_${this.#counter++}`);
  }

  cast(name: string, to: DType): string {
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

/** The domain of custom ops in a model. */
export const kernelDomain = 'cxmind';

/** A node that runs as a custom op. */
export interface KernelNode {
  /** Its type in the model, of its own. */
  readonly type: string;
  readonly inputs: readonly ValueType[];
  readonly outputs: readonly ValueType[];
  readonly steps: readonly Step[];
}

/** A model, and what runs its nodes of the domain `cxmind`. */
export interface EncodedModel {
  /** Bytes of an ONNX ModelProto. */
  readonly model: Uint8Array;
  readonly kernelNodes: readonly KernelNode[];
}

/**
 * The graph as an ONNX ModelProto, for a target that runs every node by its provider; see `encodeWithKernels`.
 *
 * @throws GRAPH_INVALID when a symbolic dimension must be computed and no input's shape has it
 */
export function encode(graph: Graph, target: Target = cpu): Uint8Array {
  return encodeWithKernels(graph, target).model;
}

/**
 * The graph as an ONNX ModelProto: opset 21, ONNX Runtime's own domain, and custom ops for the nodes that the target
 * has kernels for. Nodes that no output needs are left out; inputs and outputs stay as they are.
 *
 * @param target the provider it is for: what that has no kernel for computes in f32, between casts
 * @throws GRAPH_INVALID when a symbolic dimension must be computed and no input's shape has it
 */
export function encodeWithKernels(graph: Graph, target: Target): EncodedModel {
  const pruned = prune(lower(graph, target));
  const units = target.isFusing === true ? fuse(pruned) : pruned.nodes;
  const writer = new OnnxWriter(pruned, units);
  const kernelNodes: KernelNode[] = [];
  const write = (name: string, { inputs, outputs }: Ends, steps: readonly Step[]): void => {
    const type = `${name}_${kernelNodes.length}`;
    kernelNodes.push({ type, inputs, outputs, steps });
    const names = (values: readonly Value[]): string[] => values.map((value) => writer.name(value));
    writer.node(type, names(inputs), names(outputs), {}, kernelDomain);
  };
  for (const unit of units) {
    if ('steps' in unit) {
      write(unit.name, unit, unit.steps);
      continue;
    }
    const steps = target.stepsOf?.(unit);
    if (steps === undefined) opOf(unit).emit!(unit, writer);
    else write(unit.op, unit, steps);
  }
  for (const { name, value } of pruned.outputs) {
    if (writer.name(value) !== name) writer.node('Identity', [writer.name(value)], [name]);
  }
  const type = schema();
  const model = type.fromObject({
    irVersion,
    producerName: 'cxmind',
    graph: {
      name: graph.name,
      node: writer.nodes,
      initializer: writer.initializers,
      input: pruned.inputs.map((input) => valueInfo(input.name, input)),
      output: pruned.outputs.map(({ name, value }) => valueInfo(name, value)),
    },
    opsetImport: [
      { domain: '', version: opsetVersion },
      { domain: 'com.microsoft', version: 1 },
      ...(kernelNodes.length > 0 ? [{ domain: kernelDomain, version: 1 }] : []),
    ],
  });
  return { model: type.encode(model).finish(), kernelNodes };
}
