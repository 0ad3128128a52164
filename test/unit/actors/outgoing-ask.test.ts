import assert from 'node:assert/strict';
import { emptyBody } from '../../../actors/runtime/envelope.ts';
import { Deadlines, OutgoingAsk } from '../../../actors/runtime/outgoing-ask.ts';

describe('Deadlines', () => {
  const asks: OutgoingAsk[] = [];
  let due: number[];
  let deadlines: Deadlines;
  let onDue: () => void;

  beforeEach(() => {
    asks.length = 0;
    due = [];
    onDue = () => undefined;
    deadlines = new Deadlines(
      () => asks,
      (ask) => {
        assert.ok(Date.now() >= ask.deadline, 'not before the deadline');
        ask.resolve(emptyBody);
        due.push(ask.id);
        onDue();
      },
    );
  });
  afterEach(() => deadlines.end());

  function ask(id: number, timeoutMs: number): OutgoingAsk {
    const sent = { actor: 'a/0', method: 'm', body: emptyBody, sentMs: 0 };
    const options = { ...sent, onCancel: () => undefined };
    const made = new OutgoingAsk({ id, ask: { timeoutMs }, ...options });
    asks.push(made);
    deadlines.add(made);
    return made;
  }

  async function untilDue(count: number): Promise<void> {
    while (due.length < count) await new Promise<void>((resolve) => (onDue = resolve));
  }

  it('rings for each ask at its own deadline, whatever order they came in', async () => {
    ask(0, 40);
    ask(1, 10);
    ask(2, 25);
    ask(3, Infinity);
    await untilDue(3);
    assert.deepEqual(due, [1, 2, 0]);
  });

  it('does not ring for an ask that was answered, and rings for later ones', async () => {
    ask(0, 10).resolve(emptyBody);
    ask(1, 20);
    await untilDue(1);
    assert.deepEqual(due, [1]);
    ask(2, 5);
    await untilDue(2);
    assert.deepEqual(due, [1, 2]);
  });

  it('keeps the process alive only while asks are open', () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    ask(0, 60_000);
    assert.equal(timers(), before + 1);
    asks.length = 0;
    deadlines.rest();
    assert.equal(timers(), before);
    ask(1, 60_000);
    assert.equal(timers(), before + 1);
  });
});
