import assert from 'node:assert/strict';
import { openDevice } from '../../../src/device/open.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { conformsToDevice } from '../../conformance/device.ts';
import { assertClose } from '../../support/assert-close.ts';

conformsToDevice('cpu', () => openDevice({ threads: 2 }));

describe('cpu', () => {
  const device = openDevice({ threads: 2 });
  after(() => device[Symbol.dispose]());

  it('reads and writes tensors of this process in place', () => {
    const tensor = tensorOf('f32', [3], [1, 2, 3]);
    const view = device.host!.view(tensor);
    assert.equal(device.host!.tensor(view).data, tensor.data);
    device.operations.zero(device.part(view, 1, [1]));
    assert.deepEqual([...tensor.data], [1, 0, 3]);
  });

  it('sums squares in float64, whatever the length', async () => {
    for (const length of [1, 6, 100_003]) {
      const values = device.host!.view(tensorOf('f32', [length], Array<number>(length).fill(0.1)));
      const sum = await device.operations.squaredSum(values);
      assertClose([sum], [length * Math.fround(0.1) ** 2], { rtol: 1e-10 });
    }
  });
});
