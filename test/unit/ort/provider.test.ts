import assert from 'node:assert/strict';
import { CxmindError } from '../../../src/errors.ts';
import { providers } from '../../../src/ort/provider.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import { onnxModel } from '../../support/onnx-model.ts';

const model = onnxModel({ x: ['f32', ['T', 2]] }, { y: ['f32', ['T', 2]] }, [
  { op: 'Neg', inputs: ['x'], outputs: ['y'] },
]);

describe('compile for a device', () => {
  const runtime = new Runtime({ threads: 2 });
  after(() => {
    runtime[Symbol.dispose]();
  });

  for (const device of providers) {
    it(`runs on ${device}, or says in one line why not and how to get it`, () => {
      try {
        using session = runtime.compile(model, { name: 'device', provider: device });
        const x = tensorOf('f32', [1, 2], [1, -2]);
        const y = zeros('f32', [1, 2]);
        using binding = session.bind().input('x', x).output('y', y);
        binding.run();
        assert.deepEqual([...y.data], [-1, 2]);
        // What a device copies in must be what the tensor holds now, not when it was bound.
        x.data[0] = 5;
        binding.run();
        assert.deepEqual([...y.data], [-5, 2]);
      } catch (error) {
        if (!(error instanceof CxmindError && device !== 'cpu')) throw error;
        assert.equal(error.code, 'DEVICE_MISSING');
        const lines = {
          cuda: /^device cuda: .+`npm install [^`]+`.+ \(CUDA: .+\)$/,
          webgpu: /^device webgpu: .+ \(WebGPU: .+\)$/,
        };
        assert.match(error.message, lines[device]);
      }
    });
  }
});
