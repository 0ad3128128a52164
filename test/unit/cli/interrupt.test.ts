import assert from 'node:assert/strict';
import { failureOf } from '../../../src/cli/exit-code.ts';
import { interruptible } from '../../../src/cli/interrupt.ts';

/** The exit code of work that is starting, and fails with its reason, when a signal comes. */
async function exitCodeOfStarting(signal: NodeJS.Signals, saves: boolean): Promise<number> {
  const failed = interruptible(
    (interruption) => {
      process.emit(signal, signal);
      interruption.preemption.throwIfAborted();
      interruption.signal.throwIfAborted();
      return Promise.resolve();
    },
    saves ? () => undefined : null,
  );
  return failed.then(
    () => assert.fail('did not end'),
    (error: unknown) => failureOf(error).exitCode,
  );
}

describe('a signal while work is starting', () => {
  const cases: [NodeJS.Signals, number][] = [
    ['SIGTERM', 0],
    ['SIGUSR2', 0],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ];
  for (const [signal, code] of cases) {
    it(`ends what saves with ${code} by ${signal}, as later`, async () => {
      assert.equal(await exitCodeOfStarting(signal, true), code);
    });
  }

  it('ends what does not save with 143 by SIGTERM', async () => {
    assert.equal(await exitCodeOfStarting('SIGTERM', false), 143);
  });
});
