import type { RunObserver } from '../ort/context.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Profile, TimedRun } from './device.ts';

/** Microseconds since the epoch. All threads of a host share this clock. */
export function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}

/**
 * Times the programs of a runtime by the clock of its thread.
 *
 * On a card, which works on its own, this is the time that it takes to queue a program.
 *
 * @param card a further observer of the runs
 */
export function profileRuns(runtime: Runtime, card?: RunObserver): Profile {
  const runs: TimedRun[] = [];
  let begun = { name: '', startUs: 0 };
  runtime.observer = {
    start: (name) => {
      card?.start(name);
      begun = { name, startUs: nowUs() };
    },
    end: () => {
      runs.push({ ...begun, lane: 'programs', durationUs: nowUs() - begun.startUs });
      card?.end();
    },
  };
  return {
    end: () => {
      runtime.observer = null;
      return Promise.resolve(runs);
    },
  };
}
