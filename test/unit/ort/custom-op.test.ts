import assert from 'node:assert/strict';
import { CxmindError } from '../../../src/errors.ts';
import type { CustomCall, CustomOp } from '../../../src/ort/custom-op.ts';
import { bytesAt } from '../../../src/ort/native.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { onnxModel } from '../../support/onnx-model.ts';
import { runSession } from '../../support/run-session.ts';

const domain = 'test.ops';

/** The memory of f32 numbers at an address. */
function floatsAt(address: bigint, count: number): Float32Array {
  const bytes = bytesAt(address, 4 * count);
  return new Float32Array(bytes.buffer, bytes.byteOffset, count);
}

/** Rows of the run at hand; the caller of a session knows its shapes. */
let rows = 2;
const width = 3;

/** An op of two inputs, `x [R, W]` and `y [W]`, and two outputs: `x + y` and the rows' sums of that. */
function addAndSum(call: CustomCall): void {
  const [a, b] = [floatsAt(call.address(0), rows * width), floatsAt(call.address(1), width)];
  const sum = floatsAt(call.output(0, [rows, width]), rows * width);
  const total = floatsAt(call.output(1, [rows]), rows).fill(0);
  for (let i = 0; i < rows * width; i++) {
    sum[i] = a[i]! + b[i % width]!;
    total[Math.floor(i / width)]! += sum[i]!;
  }
}

describe('custom ops', () => {
  let runtime: Runtime;
  before(() => (runtime = new Runtime({ threads: 1 })));
  beforeEach(() => (rows = 2));
  after(() => runtime[Symbol.dispose]());

  const op = (type: string, compute: CustomOp['compute']): CustomOp => ({
    type,
    inputs: ['f32', 'f32'],
    outputs: ['f32', 'f32'],
    compute,
  });
  const model = (...types: string[]): Uint8Array =>
    onnxModel(
      { x: ['f32', ['R', 3]], y: ['f32', [3]] },
      { s: ['f32', ['R', 3]], t: ['f32', ['R']] },
      types.map((type, i) => ({
        op: type,
        domain,
        inputs: [i === 0 ? 'x' : `s${i - 1}`, 'y'],
        outputs: i === types.length - 1 ? ['s', 't'] : [`s${i}`, `t${i}`],
      })),
    );
  const inputs = {
    x: tensorOf('f32', [2, 3], [1, 2, 3, 4, 5, 6]),
    y: tensorOf('f32', [3], [10, 20, 30]),
  };

  it('are computed by functions, with the shapes of the run', () => {
    const ops = [op('First', addAndSum), op('Second', addAndSum)];
    using session = runtime.compile(model('First', 'Second'), { modelOps: { domain, ops } });
    const { s, t } = runSession(session, inputs);
    assert.deepEqual([...s!.data], [21, 42, 63, 24, 45, 66]);
    assert.deepEqual([...t!.data], [126, 135]);
    rows = 1;
    const { t: one } = runSession(session, { ...inputs, x: tensorOf('f32', [1, 3], [0, 0, 1]) });
    assert.deepEqual([...one!.data], [121]);
  });

  it('pass what they throw to whoever runs the session, and run again', () => {
    let isFailing = true;
    const compute = (call: CustomCall): void => {
      if (isFailing)
        throw new CxmindError('SHAPE_MISMATCH', 'rows are odd', { detail: { rows: 2 } });
      addAndSum(call);
    };
    const modelOps = { domain, ops: [op('Failing', compute)] };
    using session = runtime.compile(model('Failing'), { name: 'odd', modelOps });
    assert.throws(
      () => runSession(session, inputs),
      (error: CxmindError) =>
        error.code === 'SHAPE_MISMATCH' &&
        /^odd .*: rows are odd$/.test(error.message) &&
        error.detail['rows'] === 2,
    );
    isFailing = false;
    assert.deepEqual([...runSession(session, inputs)['t']!.data], [66, 75]);
  });
});
