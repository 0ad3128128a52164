import assert from 'node:assert/strict';
import { CxmindError } from '../../../src/errors.ts';
import { MemoryGauge, openMemoryGauge } from '../../../src/device/memory.ts';
import { openDevice } from '../../../src/device/open.ts';
import { productOf } from '../../../src/device/product.ts';

describe('cuda', () => {
  it('says in one line what is missing, where there is no card', () => {
    try {
      openDevice({ device: 'cuda:99', threads: 1 })[Symbol.dispose]();
      assert.fail('there are no hundred cards');
    } catch (error) {
      assert.ok(error instanceof CxmindError);
      assert.equal(error.code, 'DEVICE_MISSING');
      assert.match(error.message, /^device cuda[^\n]*`[^`\n]+`[^\n]*$/);
    }
  });

  it('needs nothing to tell of the memory of devices that have none of their own', () => {
    const gauge = openMemoryGauge(['cpu', 'webgpu']);
    assert.deepEqual([...gauge.read(), gauge.peakBytes], [0]);
    assert.deepEqual([productOf('cpu'), productOf('webgpu')], [null, null]);
  });
});

describe('MemoryGauge', () => {
  it('keeps the most that was in use on one device at any reading', () => {
    let used: readonly number[] = [];
    const gauge = new MemoryGauge(() =>
      used.map((bytes, i) => ({ device: `cuda:${i}`, freeBytes: 10 - bytes, totalBytes: 10 })),
    );
    const peaks = [[3, 1], [2, 7], [5, 5], []].map((now) => {
      used = now;
      gauge.read();
      return gauge.peakBytes;
    });
    assert.deepEqual(peaks, [3, 7, 7, 7]);
  });
});
