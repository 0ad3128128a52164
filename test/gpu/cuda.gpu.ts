// Run by `npm run test:gpu` on a machine with a CUDA card; no part of `npm test`.
import assert from 'node:assert/strict';
import { peakTflops } from '../../actors/trainer/report/utilization.ts';
import { openMemoryGauge } from '../../src/device/memory.ts';
import { openDevice } from '../../src/device/open.ts';
import { productOf } from '../../src/device/product.ts';
import { conformsToDevice } from '../conformance/device.ts';
import { computesFused } from '../conformance/fused.ts';
import { agreesWithTransformers } from '../conformance/model.ts';
import { computesOps } from '../conformance/ops.ts';

const open = () => openDevice({ device: 'cuda:0', threads: 4 });
conformsToDevice('cuda:0', open);
describe('the memory gauge of cards', () => {
  it('sees what a device takes and gives back, and lets its thread go on with its own card', () => {
    const gauge = openMemoryGauge(['cuda:0', 'cuda:0']);
    using device = open();
    const free = () => gauge.read().map(({ freeBytes }) => freeBytes);
    const [before] = gauge.read();
    const length = 2 ** 28;
    {
      using _ = device.allocate('f32', [length]);
      const taken = before!.freeBytes - free()[0]!;
      assert.ok(taken >= 4 * length && taken < 8 * length, `${taken} bytes are taken`);
    }
    assert.deepEqual(free(), [device.freeBytes()]);
    assert.ok(before!.freeBytes < before!.totalBytes);
    assert.ok(gauge.peakBytes >= before!.totalBytes - before!.freeBytes + 4 * length);
  });
});
describe('the product of a card', () => {
  it('is one whose peak is known', () => {
    const product = productOf('cuda:0');
    assert.match(product!, /^NVIDIA /);
    assert.ok(peakTflops(product) < Infinity, product!);
  });
});
// Each trial has sizes of its own, and so kernels of its own, which take most of the time to compile.
computesOps('cuda:0', open, { numRuns: 1 });
computesFused('cuda:0', open);
agreesWithTransformers('cuda:0', open, {
  chosen: [0, 1, 2, 3, 4, 5, 6, 7],
  maxTokens: 24,
  atol: 1e-4,
});
