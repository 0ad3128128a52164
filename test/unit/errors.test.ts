import assert from 'node:assert/strict';
import { failureOf } from '../../src/cli/exit-code.ts';
import { CxmindError, toWireError } from '../../src/errors.ts';

describe('work that fails, and cannot put away what it had', () => {
  async function failTwice(): Promise<void> {
    await using owned = new AsyncDisposableStack();
    owned.defer(() => Promise.reject(new Error('not put away')));
    owned.defer(() => Promise.reject(new Error('nor this')));
    throw new CxmindError('DATA_INVALID', 'a bad row');
  }

  it('tells what it failed with', async () => {
    await assert.rejects(failTwice(), (thrown: unknown) => {
      const failure = { exitCode: 2, code: 'DATA_INVALID', text: 'a bad row', detail: {} };
      assert.deepEqual(failureOf(thrown), failure);
      const { code, message } = toWireError(thrown);
      assert.deepEqual([code, message], ['DATA_INVALID', 'a bad row']);
      return true;
    });
  });
});
