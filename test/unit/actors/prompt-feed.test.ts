import assert from 'node:assert/strict';
import { dataProtocol } from '../../../actors/data/protocol.ts';
import { PromptFeed, type Task } from '../../../actors/trainer/prompt-feed.ts';
import { fakeRef } from '../../support/fake-ref.ts';

/** A task whose batches are numbered and come when they are let go. */
function numbered(): {
  task: Task;
  release: (at: number, error?: Error) => void;
  asked: () => number;
} {
  const waiting: PromiseWithResolvers<void>[] = [];
  const data = fakeRef('data', dataProtocol, {
    nextPrompts: async () => {
      const position = waiting.push(Promise.withResolvers());
      await waiting[position - 1]!.promise;
      return { prompts: [], cursor: { epoch: 0, position }, skipped: 0, notes: [] };
    },
  });
  return {
    task: { name: null, data, rewards: [] },
    release: (at, error) => {
      if (error === undefined) waiting[at - 1]!.resolve();
      else waiting[at - 1]!.reject(error);
    },
    asked: () => waiting.length,
  };
}

describe('PromptFeed', () => {
  const { signal } = new AbortController();

  it('asks for the next prompts when it gives some, and where each batch stands is its own', async () => {
    const { task, release, asked } = numbered();
    const feed = new PromptFeed();
    const first = feed.next([task], signal);
    assert.equal(asked(), 1);
    release(1);
    assert.deepEqual((await first).cursors, [{ epoch: 0, position: 1 }]);
    assert.equal(asked(), 2);
    release(2);
    assert.deepEqual((await feed.next([task], signal)).cursors, [{ epoch: 0, position: 2 }]);
    assert.equal(asked(), 3);
  });

  it('tells a failure to who takes the prompts, and to nobody when they are not taken', async () => {
    const { task, release, asked } = numbered();
    const feed = new PromptFeed();
    const first = feed.next([task], signal);
    release(1);
    await first;
    release(2, new Error('row 7 is bad'));
    await new Promise(setImmediate);
    await assert.rejects(feed.next([task], signal), /row 7 is bad/);
    const again = feed.next([task], signal);
    assert.equal(asked(), 3);
    release(3);
    assert.deepEqual((await again).cursors, [{ epoch: 0, position: 3 }]);
  });
});
