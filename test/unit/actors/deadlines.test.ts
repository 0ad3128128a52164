import assert from 'node:assert/strict';
import { Deadlines } from '../../../actors/runtime/deadlines.ts';
import { emptyBody } from '../../../actors/runtime/envelope.ts';
import { AskLetter } from '../../../actors/runtime/letter.ts';

describe('Deadlines', () => {
  const letters: AskLetter[] = [];
  let due: number[];
  let deadlines: Deadlines;
  let onDue: () => void;

  beforeEach(() => {
    letters.length = 0;
    due = [];
    onDue = () => undefined;
    deadlines = new Deadlines(
      () => letters,
      (letter) => {
        assert.ok(Date.now() >= letter.deadline, 'not before the deadline');
        letter.resolve(emptyBody);
        due.push(letter.id);
        onDue();
      },
    );
  });
  afterEach(() => deadlines.end());

  function ask(id: number, timeoutMs: number): AskLetter {
    const options = { actor: 'a/0', method: 'm', body: emptyBody, onCancel: () => undefined };
    const letter = new AskLetter({ id, ask: { timeoutMs }, ...options });
    letters.push(letter);
    deadlines.add(letter);
    return letter;
  }

  async function untilDue(count: number): Promise<void> {
    while (due.length < count) await new Promise<void>((resolve) => (onDue = resolve));
  }

  it('rings for each letter at its own deadline, whatever order they came in', async () => {
    ask(0, 40);
    ask(1, 10);
    ask(2, 25);
    ask(3, Infinity);
    await untilDue(3);
    assert.deepEqual(due, [1, 2, 0]);
  });

  it('does not ring for a letter that was answered, and rings for later ones', async () => {
    ask(0, 10).resolve(emptyBody);
    ask(1, 20);
    await untilDue(1);
    assert.deepEqual(due, [1]);
    ask(2, 5);
    await untilDue(2);
    assert.deepEqual(due, [1, 2]);
  });

  it('keeps the process alive only while letters are open', () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = timers();
    ask(0, 60_000);
    assert.equal(timers(), before + 1);
    letters.length = 0;
    deadlines.rest();
    assert.equal(timers(), before);
    ask(1, 60_000);
    assert.equal(timers(), before + 1);
  });
});
