import assert from 'node:assert/strict';
import { differentiate } from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { fuse } from '../../../src/graph/fuse/fuse.ts';
import type { Graph } from '../../../src/graph/ir.ts';
import { prune } from '../../../src/graph/passes.ts';
import { cuda, lower } from '../../../src/graph/target.ts';
import { strategies } from '../../../src/optim/adamw-graph.ts';

/** Units that a graph runs as: a kernel by the names of its outputs, other nodes by their op. */
const unitsOf = (graph: Graph): string[] =>
  fuse(prune(lower(graph, cuda))).map((unit) =>
    'steps' in unit ? `kernel of ${unit.outputs.length}` : unit.op,
  );

describe('fuse', () => {
  for (const [name, { graph }] of Object.entries(strategies)) {
    it(`makes one kernel of a step of ${name}`, () => {
      const constants = {
        betas: [0.9, 0.999],
        eps: 1e-8,
        storage: 'bf16',
        parameters: 'f32',
      } as const;
      const step = graph({ ...constants, working: 'bf16' });
      assert.deepEqual(unitsOf(step), [`kernel of ${step.outputs.length}`]);
    });
  }

  it('joins a residual, its norm and what the norm keeps', () => {
    const g = new GraphBuilder('norm');
    const [x, y] = ['x', 'y'].map((name) => g.input(name, 'bf16', ['T', 64]));
    const sum = g.add(x!, y!);
    g.output('sum', sum);
    g.output('normed', g.rmsNorm(sum, g.input('weight', 'bf16', [64]), 1e-6));
    assert.deepEqual(unitsOf(g.build()), ['kernel of 2']);
  });

  it('adds up gradients of a bias and a norm over rows apart from what it writes of the rows', () => {
    const g = new GraphBuilder('norm');
    const normed = g.rmsNorm(
      g.add(g.input('x', 'bf16', ['T', 64]), g.input('bias', 'bf16', [64])),
      g.input('weight', 'bf16', [64]),
      1e-6,
    );
    g.output('y', normed);
    const { backward } = differentiate(g.build(), { wrt: ['x', 'bias', 'weight'], save: 'costly' });
    // Sums over rows have those of runs of rows beside them; the weight's gradient is rounded behind a reshape.
    assert.deepEqual(
      unitsOf(backward).filter((unit) => unit !== 'reshape'),
      ['kernel of 1', 'kernel of 2', 'kernel of 1', 'kernel of 2'],
    );
  });

  it('does not join what waits for something that waits for it', () => {
    const g = new GraphBuilder('around');
    const x = g.input('x', 'f32', [8, 8]);
    const before = g.exp(x);
    g.output('y', g.add(before, g.matMul(before, x)));
    assert.deepEqual(unitsOf(g.build()), ['kernel of 1', 'matMul', 'kernel of 1']);
  });

  it('computes a widening anew for each reader, rather than write it', () => {
    const g = new GraphBuilder('widening');
    const x = g.input('x', 'bf16', ['T', 64]);
    const wide = g.cast(x, 'f32');
    g.output('y', g.matMul(g.cast(g.exp(wide), 'bf16'), x, { transB: true }));
    g.output('z', g.reduceSum(wide, [0]));
    const units = fuse(prune(lower(g.build(), cuda)));
    assert.ok(units.every(({ inputs }) => inputs.every(({ dtype }) => dtype === 'bf16')));
  });

  it('leaves no size to be computed by the provider, which would do that on the processor', () => {
    const g = new GraphBuilder('mean');
    const x = g.input('x', 'f32', ['T', 'W']);
    g.output('y', g.sub(x, g.reduceMean(x, [1], true)));
    g.output('count', g.size(x, [0, 1], 'f32'));
    assert.deepEqual(unitsOf(g.build()), ['kernel of 1', 'kernel of 1']);
  });
});
