import assert from 'node:assert/strict';
import { encodeState } from '../../../actors/runtime/host.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { decodeBody } from '../../../transport/codec.ts';

describe('encodeState', () => {
  it('takes tensors as they are at the call', () => {
    const values = tensorOf('f32', [2], [1, 2]);
    const state = encodeState({ step: 3, values });
    values.data.fill(9);
    const kept = decodeBody(state) as { step: number; values: Tensor<'f32'> };
    assert.equal(kept.step, 3);
    assert.deepEqual([...kept.values.data], [1, 2]);
  });

  it('refuses what is not plain data', () => {
    assert.throws(() => encodeState({ log: () => undefined }), { code: 'WIRE_INVALID' });
  });
});
