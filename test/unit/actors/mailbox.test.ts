import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Mailbox } from '../../../actors/runtime/mailbox.ts';
import { garbageCollector } from '../../../src/collector.ts';

describe('Mailbox', () => {
  it('accepts up to its capacity and lets the rest wait in order', () => {
    const accepted: number[] = [];
    const mailbox = new Mailbox(2, ({ id }) => accepted.push(id));
    for (const id of [1, 2, 3, 4]) mailbox.put({ id });
    assert.deepEqual(accepted, [1, 2]);
    assert.equal(mailbox.size, 4);
    mailbox.release(2);
    assert.deepEqual(accepted, [1, 2, 3]);
    mailbox.release(4);
    mailbox.release(1);
    assert.deepEqual(accepted, [1, 2, 3]);
    assert.equal(mailbox.size, 1);
    assert.equal(mailbox.head?.id, 3);
  });

  it('never holds more than its capacity, keeps the order and forgets nothing', () => {
    const steps = fc.array(fc.oneof(fc.constant('put' as const), fc.nat(20)), { maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), steps, (capacity, script) => {
        const accepted: number[] = [];
        const open = new Set<number>();
        const mailbox = new Mailbox(capacity, ({ id }) => accepted.push(id));
        let nextId = 0;
        for (const step of script) {
          if (step === 'put') {
            open.add(nextId);
            mailbox.put({ id: nextId++ });
          } else {
            mailbox.release(step);
            open.delete(step);
          }
          const held = [...mailbox.accepted()].map(({ id }) => id);
          assert.ok(held.length <= capacity);
          assert.equal(mailbox.size, open.size);
          if (open.size > held.length) assert.equal(held.length, capacity);
          assert.deepEqual(held, [...open].slice(0, held.length));
        }
        assert.deepEqual(
          accepted,
          [...accepted].sort((a, b) => a - b),
        );
        assert.deepEqual(
          mailbox.clear().map(({ id }) => id),
          [...open],
        );
        assert.equal(mailbox.size, 0);
      }),
    );
  });

  it('keeps no room for entries that came and went behind one that takes long', () => {
    const mailbox = new Mailbox(2, () => undefined);
    mailbox.put({ id: 0 });
    mailbox.put({ id: 1 });
    const before = heapBytes();
    for (let id = 2; id < 1_000_000; id++) {
      mailbox.put({ id });
      mailbox.release(id);
    }
    // An array over all of these ids takes 8 MB.
    assert.ok(heapBytes() - before < 2e6);
    mailbox.release(0);
    mailbox.put({ id: 1_000_000 });
    assert.deepEqual(
      [...mailbox.accepted()].map(({ id }) => id),
      [1, 1_000_000],
    );
  });
});

function heapBytes(): number {
  garbageCollector()!();
  return process.memoryUsage().heapUsed;
}
