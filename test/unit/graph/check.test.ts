import assert from 'node:assert/strict';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { checkGraph } from '../../../src/graph/check.ts';
import type { Graph, Node, Value } from '../../../src/graph/ir.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';

function sound(): Graph {
  const g = new GraphBuilder('sound');
  const x = g.input('x', 'f32', ['T', 2]);
  const w = g.constant(tensorOf('f32', [2, 2], [1, 2, 3, 4]), 'w');
  g.output('y', g.exp(g.linear(x, w)));
  return g.build();
}

/** The graph with one node or value of it replaced. */
const withNode = (graph: Graph, at: number, change: (node: Node) => Node): Graph => ({
  ...graph,
  nodes: graph.nodes.map((node, i) => (i === at ? change(node) : node)),
});
const withOutput = (node: Node, change: Partial<Value>): Node => ({
  ...node,
  outputs: node.outputs.map((output) => ({ ...output, ...change })),
});

describe('checkGraph', () => {
  const graph = sound();

  it('lets a sound graph pass', () => {
    checkGraph(graph);
  });

  for (const [what, broken, message] of [
    [
      'a value read before it is made',
      { ...graph, nodes: graph.nodes.toReversed() },
      /^sound: exp reads %\d+ gemm_\d+, not defined yet$/,
    ],
    [
      'an output that nothing makes',
      { ...graph, nodes: graph.nodes.slice(0, 1) },
      /^sound: output 'y' reads %\d+ exp_\d+, not defined yet$/,
    ],
    [
      'a value made twice',
      { ...graph, nodes: [...graph.nodes, graph.nodes[0]!] },
      /^sound: gemm defines %\d+ gemm_\d+ a second time$/,
    ],
    [
      'a dtype that its op does not give',
      withNode(graph, 1, (node) => withOutput(node, { dtype: 'bf16' })),
      /^sound: exp gives f32 \[T, 2\], %\d+ is written as bf16 \[T, 2\]$/,
    ],
    [
      'an operand read under another shape',
      withNode(graph, 0, (node) => ({
        ...node,
        inputs: [{ ...node.inputs[0]!, shape: ['S', 2] }, node.inputs[1]!],
      })),
      /^sound: gemm reads %\d+ x as f32 \[S, 2\], it is f32 \[T, 2\]$/,
    ],
    [
      'a constant of too few elements',
      {
        ...graph,
        constants: new Map(
          [...graph.constants].map(([id]) => [
            id,
            { ...tensorOf('f32', [3], [1, 2, 3]), shape: [2, 2] },
          ]),
        ),
      },
      /^sound: constant %\d+ is f32 \[2, 2\], of 3 elements$/,
    ],
    [
      'two outputs of one name',
      { ...graph, outputs: [...graph.outputs, ...graph.outputs] },
      /^sound: two outputs are called 'y'$/,
    ],
  ] as [string, Graph, RegExp][]) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => {
          checkGraph(broken);
        },
        { code: 'GRAPH_INVALID', message },
      );
    });
  }
});
