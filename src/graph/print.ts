/** The text form of graphs, for tests and errors. */
import { numbersOf } from '../tensor/numbers.ts';
import { typeText } from '../tensor/tensor.ts';
import type { Graph, Value } from './ir.ts';
import { attributesText, numberText } from './number-text.ts';

/** Prints a graph, one node a line: `%5 = gemm(%0 x, %1 w) {"transB":true} : f32 [T, 8]`. */
export function print(graph: Graph): string {
  const named = new Set(graph.inputs.map((input) => input.id));
  const reference = (value: Value): string => {
    const tensor = graph.constants.get(value.id);
    if (tensor?.data.length === 1) return numberText(numbersOf(tensor)[0]!);
    return named.has(value.id) || tensor !== undefined ? value.name : `%${value.id}`;
  };
  const lines = [`graph ${graph.name}`];
  for (const input of graph.inputs) lines.push(`  input ${input.name} : ${typeText(input)}`);
  for (const node of graph.nodes) {
    const outputs = node.outputs.map((output) => `%${output.id}`).join(', ');
    const attributes = attributesText(node.attributes);
    const suffix = attributes === '{}' ? '' : ` ${attributes}`;
    const types = node.outputs.map(typeText).join(', ');
    lines.push(
      `  ${outputs} = ${node.op}(${node.inputs.map(reference).join(', ')})${suffix} : ${types}`,
    );
  }
  for (const { name, value } of graph.outputs) {
    lines.push(`  output ${name} = ${reference(value)} : ${typeText(value)}`);
  }
  return lines.join('\n');
}
