import assert from 'node:assert/strict';
import { CxmindError } from '../../../src/errors.ts';
import { openMemoryGauge } from '../../../src/device/memory.ts';
import { openDevice } from '../../../src/device/open.ts';

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
    assert.deepEqual(openMemoryGauge(['cpu', 'webgpu'])(), []);
  });
});
