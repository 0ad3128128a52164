import assert from 'node:assert/strict';
import { Nvrtc } from '../../../src/device/cuda/nvrtc.ts';
import { CxmindError } from '../../../src/errors.ts';
import { encodeScheduled } from '../../../src/graph/encode.ts';
import type { Kernel } from '../../../src/graph/kernel.ts';
import { scheduled } from '../../../src/graph/schedule.ts';
import { cuda } from '../../../src/graph/target.ts';
import { graphOf, namedCases } from '../../conformance/ops.ts';

const trivial: Kernel = {
  entry: 'trivial',
  source: 'extern "C" __global__ void trivial(bf16* y) { y[0] = fromFloat<bf16>(1.f); }',
  launch: () => ({ grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, scalars: [] }),
};

describe('kernels', function () {
  this.timeout(300_000);
  let compiler: Nvrtc | undefined;
  before(function () {
    try {
      compiler = new Nvrtc();
    } catch (error) {
      assert.equal((error as CxmindError).code, 'DEVICE_MISSING');
      assert.match((error as CxmindError).message, /libnvrtc\.so\.13.*LD_LIBRARY_PATH/);
      // CUDA's compiler is no part of what development needs.
      this.skip();
    }
  });

  it('compile, all that the op cases have', () => {
    const kernels = new Map([[trivial.entry, trivial]]);
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      for (const named of namedCases) {
        const schedule = scheduled(
          graphOf(named, dtype, (dim) => dim),
          cuda,
        );
        for (const { steps } of encodeScheduled(schedule, cuda).kernelNodes) {
          for (const step of steps) if ('entry' in step) kernels.set(step.entry, step);
        }
      }
    }
    const { cubin, entries } = compiler!.compile([...kernels.values()], 'sm_90a');
    assert.deepEqual(entries, [...kernels.keys()]);
    const machineCode = Buffer.from(cubin).toString('latin1');
    for (const entry of entries) assert.ok(machineCode.includes(entry), entry);
  });

  it('tell what is wrong with them', () => {
    const broken = { ...trivial, source: 'extern "C" __global__ void trivial() { nothing(); }' };
    assert.throws(() => compiler!.compile([broken], 'sm_90a'), /trivial.*nothing/s);
  });

  it('need a compiler that knows the card', () => {
    assert.throws(
      () => compiler!.compile([trivial], 'sm_999'),
      (error: CxmindError) => error.code === 'DEVICE_MISSING' && /sm_999/.test(error.message),
    );
  });
});
