import assert from 'node:assert/strict';
import { Schedule, type ScheduleTools } from '../../../src/generation/schedule.ts';
import { keyOf } from '../../../src/rng.ts';
import { textPrompt } from '../../support/golden-model.ts';

const DRAW = { token: 1, logProb: 0 };

/** A processor that is busy for longer than the time between two turns of the event loop. */
function work(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 210);
}

describe('a schedule of generation', () => {
  /** Passes of a call that is cancelled while a pass runs: the `at`-th of its kind, all of which take long. */
  const passesOf = async (
    slow: 'prefill' | 'step',
    at: number,
  ): Promise<{ prefill: number; step: number }> => {
    const cancelled = new AbortController();
    const passes = { prefill: 0, step: 0 };
    const pass = (kind: keyof typeof passes): void => {
      passes[kind]++;
      if (kind !== slow) return;
      work();
      if (passes[kind] < at) return;
      setImmediate(() => {
        cancelled.abort();
      });
    };
    const tools = {
      passTokens: 1,
      prefill: {
        run: () => {
          pass('prefill');
          return Promise.resolve({ prompts: [{ layers: [], index: 0, start: 0, tokens: 1 }] });
        },
      },
      sampler: { draw: (_: unknown, rows: unknown[]) => Promise.resolve(rows.map(() => DRAW)) },
      decoder: {
        slots: 3,
        roomFor: () => 1,
        enter: () => undefined,
        leave: () => undefined,
        step: (rows: unknown[]) => {
          pass('step');
          return Promise.resolve(rows.map(() => DRAW));
        },
      },
    } as unknown as ScheduleTools;
    const waiting = [0, 1, 2].map((i) => ({
      request: {
        prompt: textPrompt([1]),
        sampling: { temperature: 1, topP: 1, topK: -1 },
        ...{ maxTokens: 5, stopTokens: [], seeds: [keyOf('schedule', i)] },
      },
      onResponse: () => undefined,
    }));
    const arrival = (): Promise<boolean> => Promise.resolve(false);
    const schedule = new Schedule({ waiting, arrival, stepsPerTurn: 1000 }, {}, tools);
    await assert.rejects(schedule.run(cancelled.signal), { code: 'RUNTIME_CANCELLED' });
    return passes;
  };

  it('hears of its cancellation between two passes that take long', async () => {
    assert.deepEqual(await passesOf('prefill', 1), { prefill: 1, step: 0 });
    // The first step is followed by a turn anyway.
    assert.deepEqual(await passesOf('step', 2), { prefill: 3, step: 2 });
  });
});
