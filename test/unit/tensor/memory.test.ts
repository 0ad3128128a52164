import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { zeros } from '../../../src/tensor/tensor.ts';

describe('sharedBuffer', () => {
  it('lets go of dropped tensors without being asked', async () => {
    const start = process.memoryUsage.rss();
    let peak = 0;
    for (let i = 0; i < 44; i++) {
      zeros('u8', [32 * 2 ** 20]).data.fill(1);
      peak = Math.max(peak, process.memoryUsage.rss());
      await turn();
    }
    // 1.375 GiB were made in all
    assert.ok(peak - start < 1.2 * 2 ** 30, `grew by ${peak - start} bytes`);
  });
});
