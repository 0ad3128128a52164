import assert from 'node:assert/strict';
import type { ErrorCode } from '../../../src/errors.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { encode } from '../../../src/graph/encode.ts';
import { interpret } from '../../../src/graph/interpret.ts';
import { optimize, prune } from '../../../src/graph/passes.ts';
import { print } from '../../../src/graph/print.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { runSession } from '../../support/run-session.ts';

function assertFails(code: ErrorCode, message: RegExp, act: () => unknown): void {
  assert.throws(act, { name: 'CxmindError', code, message });
}

const opsOf = (g: GraphBuilder): string[] => g.build().nodes.map((node) => node.op);

describe('GraphBuilder', () => {
  it('names the op, the shapes and the graph when shapes do not fit', () => {
    const g = new GraphBuilder('block');
    const [a, b] = [g.input('a', 'f32', ['T', 8]), g.input('b', 'f32', [16, 32])];
    assertFails(
      'SHAPE_MISMATCH',
      /matMul: inner dimensions differ, got \[T, 8\] · \[16, 32\] \(block\)/,
      () => g.matMul(a, b),
    );
    assertFails('SHAPE_MISMATCH', /add: shapes do not broadcast/, () => g.add(a, b));
    assertFails('SHAPE_MISMATCH', /gemm: inner/, () => g.linear(a, b));
    assertFails('SHAPE_MISMATCH', /reshape: /, () => g.reshape(a, ['T', 9]));
    assertFails('SHAPE_MISMATCH', /reshape: /, () => g.reshape(b, [-1, 7]));
    assertFails('SHAPE_MISMATCH', /transpose: /, () => g.transpose(a, [0, 0]));
    assertFails('SHAPE_MISMATCH', /softmax: axis 2/, () => g.softmax(a, 2));
    assertFails('SHAPE_MISMATCH', /split: sizes/, () => g.split(b, [10, 10], 0));
    assertFails('SHAPE_MISMATCH', /concat: /, () => g.concat([a, b], 0));
    assertFails('SHAPE_MISMATCH', /rmsNorm: /, () => g.rmsNorm(a, b, 1e-6));
    assertFails('SHAPE_MISMATCH', /expand: /, () => g.expand(a, [3, 8]));
    assertFails('SHAPE_MISMATCH', /attend: /, () => g.attend(a, b));
  });

  it('does not let two different symbols broadcast', () => {
    const g = new GraphBuilder('symbols');
    const [a, b] = [g.input('a', 'f32', ['T']), g.input('b', 'f32', ['P'])];
    assertFails('SHAPE_MISMATCH', /add: shapes do not broadcast, got \[T\] · \[P\]/, () =>
      g.add(a, b),
    );
  });

  it('names dtypes that do not fit', () => {
    const g = new GraphBuilder('dtypes');
    const [x, i] = [g.input('x', 'f32', [4]), g.input('i', 'i64', [4])];
    assertFails('DTYPE_MISMATCH', /mul: operands must have one dtype, got f32 · i64/, () =>
      g.mul(x, i),
    );
    assertFails('DTYPE_MISMATCH', /exp: wants a float/, () => g.exp(i));
    assertFails('DTYPE_MISMATCH', /gather: wants an i64/, () => g.gather(x, x));
    assertFails('DTYPE_MISMATCH', /where: the condition is bool/, () => g.where(i, x, x));
  });

  it('refuses two inputs or outputs of one name', () => {
    const g = new GraphBuilder('names');
    const x = g.input('x', 'f32', [4]);
    g.output('y', x);
    assertFails('GRAPH_INVALID', /two inputs are called 'x'/, () => g.input('x', 'f32', [1]));
    assertFails('GRAPH_INVALID', /two outputs are called 'y'/, () => g.output('y', x));
  });

  it('writes the same op on the same operands once', () => {
    const g = new GraphBuilder('once');
    const x = g.input('x', 'f32', ['T', 4]);
    assert.equal(g.exp(x), g.exp(x));
    assert.notEqual(g.softmax(x, 0), g.softmax(x, 1));
    assert.equal(g.scalar(2), g.scalar(2));
    assert.equal(opsOf(g).length, 3);
  });

  it('leaves out what changes nothing', () => {
    const g = new GraphBuilder('neutral');
    const x = g.input('x', 'f32', ['T', 4]);
    assert.equal(g.mul(x, g.scalar(1)), x);
    assert.equal(g.add(g.scalar(0), x), x);
    assert.equal(g.reshape(x, ['T', -1]), x);
    assert.equal(g.transpose(g.transpose(x, [1, 0]), [1, 0]), x);
    assert.equal(g.cast(x, 'f32'), x);
    assert.equal(g.slice(x, { axis: 0 }), x);
    assert.notEqual(g.sub(g.scalar(0), x), x);
    const wide = g.add(g.expand(g.scalar(2), ['T', 4]), x);
    assert.deepEqual(wide.shape, ['T', 4]);
    const sum = g.producer(wide)!;
    assert.ok(sum.inputs.includes(g.scalar(2)), 'the expansion is not read');
  });

  it('infers what is left of symbolic dimensions', () => {
    const g = new GraphBuilder('dims');
    const x = g.input('x', 'f32', ['T', 6]);
    assert.deepEqual(g.reshape(x, [-1, 3]).shape, ['T*2', 3]);
    assert.deepEqual(g.reshape(x, ['T/4', -1]).shape, ['T/4', 24]);
    assert.deepEqual(g.concat([x, x], 0).shape, ['T*2', 6]);
    assert.deepEqual(g.slice(x, { axis: 0, start: 1, end: -1 }).shape, ['T-2', 6]);
    assert.deepEqual(g.reduceSum(x, [0, -1]).shape, []);
  });

  it('reduces over no axes by doing nothing, and has no node for it', () => {
    const g = new GraphBuilder('axes');
    const x = g.input('x', 'f32', ['T', 6]);
    for (const op of ['reduceSum', 'reduceMean', 'reduceMax'] as const) {
      assert.equal(g[op](x, []), x);
      // As a node, ONNX would take it to mean all axes.
      assert.throws(() => g.apply(op, [x], { axes: [], keepDims: true }), {
        code: 'SHAPE_MISMATCH',
      });
    }
  });
});

describe('passes', () => {
  it('fold numbers and scales into products', () => {
    const g = new GraphBuilder('fold');
    const [x, w] = [g.input('x', 'f32', ['T', 4]), g.input('w', 'f32', [4, 4])];
    const scale = g.div(g.scalar(1), g.sqrt(g.scalar(16)));
    g.output('y', g.add(x, g.mul(g.linear(x, w), scale)));
    const graph = optimize(g.build());
    assert.deepEqual(
      graph.nodes.map((node) => [node.op, node.attributes]),
      [
        ['gemm', { transA: false, transB: true, alpha: 0.25 }],
        ['add', {}],
      ],
    );
    const given = {
      x: tensorOf('f32', [1, 4], [1, 2, 3, 4]),
      w: tensorOf('f32', [4, 4], Array(16).fill(1) as number[]),
    };
    assert.deepEqual([...interpret(graph, given)['y']!.data], [3.5, 4.5, 5.5, 6.5]);
    assert.deepEqual(interpret(g.build(), given), interpret(graph, given));
  });

  it('keep a product that is read elsewhere', () => {
    const g = new GraphBuilder('shared');
    const x = g.input('x', 'f32', [4, 4]);
    const product = g.gemm(x, x);
    g.output('product', product);
    g.output('scaled', g.mul(product, g.scalar(2)));
    assert.deepEqual(
      optimize(g.build()).nodes.map((node) => node.op),
      ['gemm', 'mul'],
    );
  });

  it('drop what no output needs', () => {
    const g = new GraphBuilder('dead');
    const x = g.input('x', 'f32', [4]);
    g.exp(g.add(x, g.scalar(3)));
    g.output('y', g.neg(x));
    const graph = prune(g.build());
    assert.deepEqual(
      graph.nodes.map((node) => node.op),
      ['neg'],
    );
    assert.equal(graph.constants.size, 0);
  });
});

describe('encode', () => {
  it('gives a model whose ends carry the graph’s names, dtypes and dimensions', () => {
    const g = new GraphBuilder('ends');
    const x = g.input('x', 'f32', ['T', 4]);
    const i = g.input('i', 'i64', [2]);
    const c = g.constant(tensorOf('i32', [2], [5, 6]));
    g.output('same', x);
    g.output('again', x);
    g.output('constant', c);
    g.output('rows', g.gather(x, i));
    using runtime = new Runtime();
    using session = runtime.compile(encode(g.build()), { name: 'ends' });
    assert.deepEqual(
      session.inputs.map(({ name, dtype }) => [name, dtype]),
      [
        ['x', 'f32'],
        ['i', 'i64'],
      ],
    );
    const [data, picked] = [
      tensorOf('f32', [2, 4], [0, 1, 2, 3, 4, 5, 6, 7]),
      tensorOf('i64', [2], [1, 1]),
    ];
    const outputs = runSession(session, { x: data, i: picked });
    assert.deepEqual([...outputs['same']!.data], [...data.data]);
    assert.deepEqual([...outputs['again']!.data], [...data.data]);
    assert.deepEqual([...outputs['constant']!.data], [5, 6]);
    assert.deepEqual([...outputs['rows']!.data], [4, 5, 6, 7, 4, 5, 6, 7]);
  });

  it('keeps tensors without elements in the shape that they are given', () => {
    const g = new GraphBuilder('empty');
    const x = g.input('x', 'f32', ['T', 0]);
    g.output('turned', g.reshape(x, [0, 'T']));
    g.output('wide', g.reshape(x, [2, 0, 3]));
    using runtime = new Runtime();
    using session = runtime.compile(encode(g.build()), { name: 'empty' });
    const { turned, wide } = runSession(session, { x: tensorOf('f32', [4, 0], []) });
    assert.deepEqual(
      [turned!.shape, wide!.shape],
      [
        [0, 4],
        [2, 0, 3],
      ],
    );
  });

  it('names a symbol that no input brings', () => {
    const g = new GraphBuilder('lost');
    g.output('y', g.expand(g.input('x', 'f32', [1]), ['T']));
    assertFails('GRAPH_INVALID', /lost: dimension 'T' is in no input's shape/, () =>
      encode(g.build()),
    );
  });

  it('keeps an inner value apart from an input of the same name', () => {
    const g = new GraphBuilder('clash');
    const x = g.input('exp_1', 'f32', [1]);
    g.output('y', g.neg(g.exp(x)));
    using runtime = new Runtime();
    using session = runtime.compile(encode(g.build()));
    assert.equal(runSession(session, { exp_1: tensorOf('f32', [1], [0]) })['y']!.data[0], -1);
  });

  it('keeps 0 and -0 apart, by whose sides a quotient is told', () => {
    const g = new GraphBuilder('zeros');
    const x = g.input('x', 'f32', [1]);
    for (const [name, low] of [
      ['above', 0],
      ['below', -0],
    ] as const) {
      g.output(name, g.div(g.scalar(1), g.clip(x, low, 2)));
    }
    using runtime = new Runtime();
    using session = runtime.compile(encode(g.build()));
    const { above, below } = runSession(session, { x: tensorOf('f32', [1], [-1]) });
    assert.deepEqual([above!.data[0], below!.data[0]], [Infinity, -Infinity]);
    assert.match(print(g.build()), /"low":0,.*"low":"-0",/s);
  });
});

describe('print', () => {
  it('writes a graph one node a line', () => {
    const g = new GraphBuilder('small');
    const [x, w] = [g.input('x', 'f32', ['T', 2]), g.input('w', 'f32', [3, 2])];
    g.output('y', g.mul(g.linear(x, w), g.scalar(2)));
    assert.equal(
      print(g.build()),
      [
        'graph small',
        '  input x : f32 [T, 2]',
        '  input w : f32 [3, 2]',
        '  %2 = gemm(x, w) {"transA":false,"transB":true,"alpha":1} : f32 [T, 3]',
        '  %4 = mul(%2, 2) : f32 [T, 3]',
        '  output y = %4 : f32 [T, 3]',
      ].join('\n'),
    );
  });
});

describe('interpret', () => {
  it('names an input that is missing or does not fit', () => {
    const g = new GraphBuilder('fit');
    g.output('y', g.add(g.input('a', 'f32', ['T', 2]), g.input('b', 'f32', ['T', 2])));
    const graph = g.build();
    const a = tensorOf('f32', [1, 2], [1, 2]);
    assertFails('GRAPH_INVALID', /fit: input 'b' is missing/, () => interpret(graph, { a }));
    const b = tensorOf('f32', [2, 2], [1, 2, 3, 4]);
    assertFails('SHAPE_MISMATCH', /input 'b' is f32 \[T, 2\], got f32 \[2, 2\]/, () =>
      interpret(graph, { a, b }),
    );
  });
});
