import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ErrorCode } from '../../../src/errors.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import type { DType } from '../../../src/tensor/dtype.ts';
import { rows, tensorOf, zeros, type Tensor } from '../../../src/tensor/tensor.ts';
import { onnxModel } from '../../support/onnx-model.ts';
import { runSession } from '../../support/run-session.ts';

const add = onnxModel(
  { x: ['f32', ['T', 2]], y: ['f32', ['T', 2]] },
  { sum: ['f32', ['T', 2]], difference: ['f32', ['T', 2]] },
  [
    { op: 'Add', inputs: ['x', 'y'], outputs: ['sum'] },
    { op: 'Sub', inputs: ['x', 'y'], outputs: ['difference'] },
  ],
);

function identity(dtype: DType): Uint8Array {
  return onnxModel({ x: [dtype, ['T', 3]] }, { y: [dtype, ['T', 3]] }, [
    { op: 'Identity', inputs: ['x'], outputs: ['y'] },
  ]);
}

const failsWith = (code: ErrorCode, message: RegExp) => ({ code, message });

describe('Session and Binding', () => {
  const runtime = new Runtime({ threads: 2 });
  const session = runtime.compile(add, { name: 'add' });
  const x = tensorOf('f32', [2, 2], [1, 2, 3, 4]);
  const y = tensorOf('f32', [2, 2], [10, 20, 30, 40]);
  after(() => {
    session[Symbol.dispose]();
    runtime[Symbol.dispose]();
  });

  it('says what a graph takes and gives, free dimensions by name', () => {
    const shape = ['T', 2];
    assert.deepEqual(session.inputs, [
      { name: 'x', dtype: 'f32', shape },
      { name: 'y', dtype: 'f32', shape },
    ]);
    assert.deepEqual(session.outputs, [
      { name: 'sum', dtype: 'f32', shape },
      { name: 'difference', dtype: 'f32', shape },
    ]);
  });

  it('computes every output', () => {
    const { sum, difference } = runSession(session, { x, y });
    assert.deepEqual(sum, tensorOf('f32', [2, 2], [11, 22, 33, 44]));
    assert.deepEqual(difference, tensorOf('f32', [2, 2], [-9, -18, -27, -36]));
  });

  it('reads and writes bound memory in place, at any offset of a buffer', () => {
    const block = zeros('f32', [7, 2]);
    const [a, b, c] = [rows(block, 1, 3), rows(block, 3, 5), rows(block, 5, 7)];
    using binding = session.bind().input('x', a).input('y', b).output('sum', c);
    for (let run = 1; run <= 3; run++) {
      a.data.fill(run);
      b.data.fill(10 * run);
      binding.run();
      assert.deepEqual([...c.data], [11 * run, 11 * run, 11 * run, 11 * run]);
    }
    assert.deepEqual([...block.data.slice(0, 2)], [0, 0]);
  });

  it('points a binding at other memory, or another number of tokens, between runs', () => {
    using binding = session.bind().input('y', y);
    for (let tokens = 2; tokens <= 4; tokens++) {
      const ones = zeros('f32', [tokens, 2]);
      ones.data.fill(tokens);
      const sum = zeros('f32', [tokens, 2]);
      binding.input('x', ones).input('y', ones).output('sum', sum).run();
      assert.ok(sum.data.every((value) => value === 2 * tokens));
    }
  });

  const samples: Readonly<Record<DType, readonly number[]>> = {
    f32: [0.5, -1, Infinity],
    f16: [0.5, -1, 65504],
    bf16: [0x3f80, 0xbf80, 0x7f80],
    i32: [0, -1, 2 ** 31 - 1],
    i64: [0, -1, 2 ** 53 - 1],
    u8: [0, 1, 255],
    bool: [0, 1, 1],
  };
  for (const [dtype, values] of Object.entries(samples) as [DType, readonly number[]][]) {
    it(`carries ${dtype} through unchanged`, () => {
      using copy = runtime.compile(identity(dtype), { name: 'copy' });
      const source: Tensor = tensorOf(
        dtype,
        [1, 3],
        dtype === 'i64' ? values.map((value) => BigInt(value)) : values,
      );
      const target = zeros(dtype, [1, 3]);
      using binding = copy.bind().input('x', source).output('y', target);
      binding.run();
      assert.deepEqual(target, source);
      assert.deepEqual(runSession(copy, { x: source })['y'], source);
    });
  }

  it('runs tensors without elements', () => {
    const empty = zeros('f32', [0, 2]);
    assert.deepEqual(runSession(session, { x: empty, y: empty })['sum'], empty);
    using binding = session.bind().input('x', empty).input('y', empty).output('sum', empty);
    binding.run();
  });

  it('names graph, end, what it takes and what came when a tensor does not fit', () => {
    using binding = session.bind();
    assert.throws(
      () => binding.input('x', zeros('f32', [2, 3])),
      failsWith('SHAPE_MISMATCH', /^add: x expects f32 \[T, 2\], got f32 \[2, 3\]$/),
    );
    assert.throws(
      () => binding.input('x', zeros('f32', [2])),
      failsWith('SHAPE_MISMATCH', /^add: x expects f32 \[T, 2\], got f32 \[2\]$/),
    );
    assert.throws(
      () => binding.output('sum', zeros('f16', [2, 2])),
      failsWith('DTYPE_MISMATCH', /^add: sum expects f32 \[T, 2\], got f16 \[2, 2\]$/),
    );
    assert.throws(
      () => binding.input('z', x),
      failsWith('GRAPH_INVALID', /^add: no input z; it has x, y$/),
    );
    assert.throws(
      () => binding.input('x', { dtype: 'f32', shape: [3, 2], data: x.data }),
      failsWith('SHAPE_MISMATCH', /^add: x: shape \[3, 2\] and 4 elements do not agree$/),
    );
  });

  it('refuses memory that the collector may move', () => {
    using binding = session.bind();
    assert.throws(
      () => binding.input('x', { dtype: 'f32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }),
      failsWith('DTYPE_MISMATCH', /^add: x: expected f32 data in shared memory/),
    );
  });

  it('says which inputs are missing, and in what shapes a run failed', () => {
    using binding = session
      .bind()
      .input('x', x)
      .output('sum', zeros('f32', [3, 2]));
    assert.throws(() => binding.run(), failsWith('GRAPH_INVALID', /^add: nothing bound to y$/));
    binding.input('y', y);
    assert.throws(
      () => binding.run(),
      failsWith('RUNTIME_FAILED', /^add \(x f32 \[2, 2\], y f32 \[2, 2\], sum f32 \[3, 2\]\): \S/),
    );
  });

  it('tells memory that ran out from other failures', () => {
    const model = onnxModel({ x: ['f32', [1]], size: ['i64', [1]] }, { y: ['f32', [1]] }, [
      { op: 'Expand', inputs: ['x', 'size'], outputs: ['wide'] },
      { op: 'ReduceSum', inputs: ['wide'], outputs: ['y'] },
    ]);
    using expand = runtime.compile(model, { name: 'expand' });
    const size = tensorOf('i64', [1], [1n << 45n]);
    assert.throws(
      () => runSession(expand, { x: zeros('f32', [1]), size }),
      failsWith(
        'DEVICE_OUT_OF_MEMORY',
        /^expand \(x f32 \[1\], size i64 \[1\], y f32 \[1\]\): .*allocate/,
      ),
    );
  });

  it('gives ONNX Runtime’s words for a model it cannot read', () => {
    assert.throws(
      () => runtime.compile(Uint8Array.of(1, 2, 3), { name: 'broken' }),
      failsWith('RUNTIME_FAILED', /^broken: .*model/i),
    );
  });

  it('refuses work after dispose, and frees bound parts in any order', () => {
    const other = new Runtime();
    const mine = other.compile(add, { name: 'mine' });
    const sum = zeros('f32', [2, 2]);
    const binding = mine.bind().input('x', x).input('y', y).output('sum', sum);
    other[Symbol.dispose]();
    assert.throws(() => other.compile(add), failsWith('RUNTIME_FAILED', /^runtime: used after/));
    binding.run();
    mine[Symbol.dispose]();
    assert.throws(() => mine.bind(), failsWith('RUNTIME_FAILED', /^session mine: used after/));
    assert.throws(() => binding.run(), failsWith('RUNTIME_FAILED', /^session mine: used after/));
    binding[Symbol.dispose]();
    binding[Symbol.dispose]();
    assert.throws(
      () => binding.input('x', x),
      failsWith('RUNTIME_FAILED', /^mine: binding: used after/),
    );
  });

  it('writes a profile of every session when asked to', () => {
    const folder = mkdtempSync(join(tmpdir(), 'cxmind-profile-'));
    try {
      using profiled = new Runtime({ profilePrefix: join(folder, 'add') });
      {
        using watched = profiled.compile(add);
        runSession(watched, { x, y });
      }
      const [file = ''] = readdirSync(folder);
      assert.match(file, /^add.*\.json$/);
      assert.match(readFileSync(join(folder, file), 'utf8'), /"op_name" *: *"Add"/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
