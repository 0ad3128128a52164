import assert from 'node:assert/strict';
import { BARRIER_WORDS, SharedBarrier } from '../../../transport/shared/barrier.ts';
import { SharedWords } from '../../../transport/shared/words.ts';

describe('SharedBarrier', () => {
  /** The ends of all parties, over one memory. */
  function ends(size: number): SharedBarrier[] {
    const memory = new Int32Array(new SharedArrayBuffer(4 * BARRIER_WORDS));
    return Array.from({ length: size }, () => new SharedBarrier(new SharedWords(memory), size));
  }
  const nothing = (): undefined => undefined;

  it('opens when the last one arrives, again and again', async () => {
    const [a, b, c] = ends(3) as [SharedBarrier, SharedBarrier, SharedBarrier];
    for (let round = 0; round < 3; round++) {
      let isOpen = false;
      const first = Promise.all([a.arrive(nothing), b.arrive(nothing)]).then(() => (isOpen = true));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(isOpen, false);
      await c.arrive(nothing);
      await first;
    }
  });

  it('rejects with the failure of its wait, and is not opened by who gave up', async () => {
    const [a, b] = ends(3) as [SharedBarrier, SharedBarrier, SharedBarrier];
    const lost = new Error('c is gone');
    await assert.rejects(
      a.arrive(() => lost),
      lost,
    );
    const giveUp = new Error('nobody came');
    await assert.rejects(
      b.arrive((isLate) => (isLate ? giveUp : undefined)),
      giveUp,
    );
  });

  it('opens for one that is told of a loss after the last one had arrived', async () => {
    const [a, b] = ends(2) as [SharedBarrier, SharedBarrier];
    let looks = 0;
    const waiting = a.arrive(() => (looks++ === 0 ? undefined : new Error('b has left')));
    await b.arrive(nothing);
    await waiting;
    assert.ok(looks > 1);
  });
});
