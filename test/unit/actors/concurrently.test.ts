import assert from 'node:assert/strict';
import { once } from 'node:events';
import { concurrently } from '../../../actors/trainer/concurrently.ts';

describe('two pieces of work at once', () => {
  const { signal } = new AbortController();

  it('both begin at once, and give both results', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const results = await concurrently(
      signal,
      () => promise,
      () => {
        resolve('told by the other');
        return Promise.resolve(2);
      },
    );
    assert.deepEqual(results, ['told by the other', 2]);
  });

  /** Ends some time after it is aborted, with an error of its own. */
  const ended: string[] = [];
  const stubborn =
    (name: string) =>
    async (aborted: AbortSignal): Promise<never> => {
      await once(aborted, 'abort');
      await new Promise(setImmediate);
      ended.push(name);
      throw new Error(`${name} is aborted`);
    };

  for (const isFirst of [true, false]) {
    const which = isFirst ? 'first' : 'second';
    it(`a failure of the ${which} aborts the other, which has ended when it is thrown`, async () => {
      const failing = (): Promise<never> => Promise.reject(new Error('no score'));
      ended.length = 0;
      await assert.rejects(
        isFirst
          ? concurrently(signal, failing, stubborn('pass'))
          : concurrently(signal, stubborn('pass'), failing),
        { message: 'no score' },
      );
      assert.deepEqual(ended, ['pass']);
    });
  }

  it('are both aborted by the signal', async () => {
    const abort = new AbortController();
    ended.length = 0;
    const both = concurrently(abort.signal, stubborn('score'), stubborn('pass'));
    abort.abort();
    await assert.rejects(both, { message: 'score is aborted' });
    assert.deepEqual(ended, ['score', 'pass']);
  });
});
