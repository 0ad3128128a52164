import assert from 'node:assert/strict';
import { Runtime } from '../../../src/ort/runtime.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { onnxModel } from '../../support/onnx-model.ts';

const ops = ['Neg', 'Abs', 'Exp', 'Relu', 'Sigmoid'];

/** A graph whose intermediate tensors are all in use at once. */
const wide = onnxModel({ x: ['f32', ['T']] }, { y: ['f32', ['T']] }, [
  ...ops.map((op) => ({ op, inputs: ['x'], outputs: [op] })),
  { op: 'Sum', inputs: ops, outputs: ['y'] },
]);

describe('the arena of the processor', () => {
  it('takes no further memory when a graph runs again', () => {
    using runtime = new Runtime({ threads: 1 });
    using session = runtime.compile(wide, { name: 'wide' });
    const [x, y] = [zeros('f32', [2 ** 21]), zeros('f32', [2 ** 21])];
    using binding = session.bind().input('x', x).output('y', y);
    binding.run();
    const before = process.memoryUsage.rss();
    binding.run();
    binding.run();
    const grown = process.memoryUsage.rss() - before;
    const inUse = ops.length * x.data.byteLength;
    assert.ok(grown < inUse / 4, `${grown} bytes more, ${inUse} are in use`);
  });
});
