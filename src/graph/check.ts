/** The rules that every graph keeps; tests run it after each pass. */
import { CxmindError } from '../errors.ts';
import { sizeOf, typeText } from '../tensor/tensor.ts';
import type { Graph, Value, ValueType } from './ir.ts';
import { opOf } from './ops/table.ts';
import { sameShape } from './shape.ts';

const isLike = (a: ValueType, b: ValueType): boolean =>
  a.dtype === b.dtype && sameShape(a.shape, b.shape);

/**
 * Checks that a graph can run as it stands.
 *
 * Each value is defined once, before it is read. It is read in the dtype and shape that its op infers. No two inputs
 * have one name, nor two outputs.
 *
 * @throws GRAPH_INVALID that names the graph, the op and the value
 */
export function checkGraph(graph: Graph): void {
  const defined = new Map<number, Value>();
  const fail = (what: string): never => {
    throw new CxmindError('GRAPH_INVALID', `${graph.name}: ${what}`);
  };
  const define = (value: Value, by: string): void => {
    if (defined.has(value.id)) fail(`${by} defines %${value.id} ${value.name} a second time`);
    defined.set(value.id, value);
  };
  const read = (value: Value, by: string): void => {
    const constant = graph.constants.get(value.id);
    const known = defined.get(value.id) ?? constant;
    if (known === undefined) return fail(`${by} reads %${value.id} ${value.name}, not defined yet`);
    if (!isLike(known, value)) {
      fail(
        `${by} reads %${value.id} ${value.name} as ${typeText(value)}, it is ${typeText(known)}`,
      );
    }
  };
  for (const input of graph.inputs) define(input, `input '${input.name}'`);
  for (const [id, { dtype, shape, data }] of graph.constants) {
    if (defined.has(id)) fail(`constant %${id} is an input too`);
    if (data.length !== sizeOf(shape)) {
      fail(`constant %${id} is ${typeText({ dtype, shape })}, of ${data.length} elements`);
    }
  }
  for (const { op, inputs, outputs, attributes } of graph.nodes) {
    for (const input of inputs) read(input, op);
    const types = opOf(op).infer(inputs, attributes);
    if (types.length !== outputs.length) {
      fail(`${op} has ${types.length} results, ${outputs.length} are written`);
    }
    for (const [i, output] of outputs.entries()) {
      if (graph.constants.has(output.id)) fail(`${op} defines the constant %${output.id}`);
      define(output, op);
      if (!isLike(types[i]!, output)) {
        fail(`${op} gives ${typeText(types[i]!)}, %${output.id} is written as ${typeText(output)}`);
      }
    }
  }
  for (const { name, value } of graph.outputs) read(value, `output '${name}'`);
  for (const [kind, names] of [
    ['inputs', graph.inputs.map(({ name }) => name)],
    ['outputs', graph.outputs.map(({ name }) => name)],
  ] as const) {
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) fail(`two ${kind} are called '${twice}'`);
  }
}
