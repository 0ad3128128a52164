import type { RunObserver } from '../ort/context.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Profile, TimedRun } from './device.ts';

/** Microseconds since the epoch, on the clock that every thread of a host has. */
export function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}

/**
 * Times the programs of a runtime by the clock of its thread.
 *
 * A card works behind the thread's back: of its programs, that is how long it took to queue them.
 *
 * @param card is told of the runs too
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
