import { join } from 'node:path';
import type { TimedRun } from '../../src/device/device.ts';
import { nowUs } from '../../src/device/run-times.ts';
import { asCxmindError } from '../../src/errors.ts';
import type { RunActors, StepContext } from './context.ts';
import { writeTrace } from './timeline.ts';

/** Of actors that may still be at what nobody waits for any more. */
const TIMEOUT_MS = 600_000;

/**
 * Takes a step; of the one that `trainer.profile` names, writes its phases and what every actor's device ran
 * meanwhile into `profile-step-N.json`, and says so.
 */
export async function profiled<T>(
  { actors, plan, timeline, reporter, signal }: StepContext,
  { step, folder }: { readonly step: number; readonly folder: string },
  take: () => Promise<T>,
): Promise<T> {
  if (step !== plan.trainer.profile) return take();
  const options = { timeoutMs: TIMEOUT_MS, signal };
  const computing = computingActors(actors);
  // An actor that is gone is no reason to end a run that goes on without it.
  await Promise.allSettled(computing.map(({ ask }) => ask.startProfile(undefined, options)));
  const beganUs = nowUs();
  const result = await take();
  const processes = await Promise.all(
    computing.map(async ({ name, ask }) => {
      let runs: TimedRun[] = [];
      try {
        runs = await ask.endProfile(undefined, options);
      } catch (error) {
        reporter.note(`profile: nothing of ${name}: ${asCxmindError(error).message}`);
      }
      return { name, threads: Map.groupBy(runs, ({ lane }) => lane) };
    }),
  );
  const file = join(folder, `profile-step-${step}.json`);
  await writeTrace(file, [...(timeline === null ? [] : [timeline.process(beganUs)]), ...processes]);
  reporter.note(`profile of step ${step}: ${file}, for chrome://tracing or Perfetto`);
  return result;
}

/** The actors that have a device. */
function computingActors({ learners, critics, reference, rollouts }: RunActors) {
  return [
    ...learners.refs,
    ...(critics?.refs ?? []),
    ...(reference === null ? [] : [reference]),
    ...rollouts,
  ];
}
