import assert from 'node:assert/strict';
import { CrashRecord, type Supervision } from '../../../actors/runtime/supervisor.ts';

const supervision: Supervision = {
  onCrash: 'restart',
  maxRestarts: 3,
  windowMs: 1000,
  minBackoffMs: 10,
  maxBackoffMs: 30,
  givenUp: 'escalate',
};

/** The decision on the last of crashes at some times. */
function verdictOn(rules: Supervision, times: readonly number[]) {
  const record = new CrashRecord(rules);
  return times.map((time) => record.add(undefined, time)).at(-1);
}

describe('CrashRecord', () => {
  it('doubles the wait with each crash of a window, up to its maximum', () => {
    assert.deepEqual(verdictOn(supervision, [0]), { kind: 'restart', afterMs: 10 });
    assert.deepEqual(verdictOn(supervision, [0, 100]), { kind: 'restart', afterMs: 20 });
    assert.deepEqual(verdictOn(supervision, [0, 100, 200]), { kind: 'restart', afterMs: 30 });
  });

  it('gives up on one crash more than a window allows', () => {
    assert.deepEqual(verdictOn(supervision, [0, 100, 200, 999]), { kind: 'escalate' });
    const stops = { ...supervision, givenUp: 'stop' } as const;
    assert.deepEqual(verdictOn(stops, [0, 100, 200, 999]), { kind: 'stop' });
  });

  it('forgets crashes that are older than the window', () => {
    assert.deepEqual(verdictOn(supervision, [0, 100, 200, 1300]), { kind: 'restart', afterMs: 10 });
  });

  it('stops or escalates at the first crash where told so', () => {
    assert.deepEqual(verdictOn({ onCrash: 'stop' }, [0]), { kind: 'stop' });
    assert.deepEqual(verdictOn({ onCrash: 'escalate' }, [0]), { kind: 'escalate' });
  });
});
