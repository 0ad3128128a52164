import { join } from 'node:path';
import type { TimedRun } from '../../../src/device/device.ts';
import { nowUs } from '../../../src/device/run-times.ts';
import { asCxmindError } from '../../../src/errors.ts';
import type { RunActors, StepContext } from '../context.ts';
import { writeTrace } from './timeline.ts';

/** Long, since an actor may still be busy with work that was given up. */
const TIMEOUT_MS = 600_000;

/**
 * Takes a step. The one that `trainer.profile` names is traced to `profile-step-N.json`: its phases, and every program
 * and kernel that the actors' devices ran.
 */
export async function profiled<T>(
  { actors, plan, timeline, reporter, signal }: StepContext,
  { step, folder }: { readonly step: number; readonly folder: string },
  take: () => Promise<T>,
): Promise<T> {
  if (step !== plan.trainer.profile) return take();
  const options = { timeoutMs: TIMEOUT_MS, signal };
  const computing = computingActors(actors);
  // A run goes on without an actor that is lost, and so does its profile.
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
  await writeTrace(file, [timeline.process(beganUs), ...processes]);
  reporter.note(`profile of step ${step}: ${file}, for chrome://tracing or Perfetto`);
  return result;
}

/** The actors that have a device. */
function computingActors({ learners, critics, reference, rollouts }: RunActors) {
  return [
    ...learners.refs,
    ...(critics?.refs ?? []),
    ...(reference === null ? [] : [reference.ref]),
    ...rollouts,
  ];
}
