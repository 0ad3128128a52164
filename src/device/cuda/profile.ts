import type { Runtime } from '../../ort/runtime.ts';
import type { Profile, TimedRun } from '../device.ts';
import { nowUs, profileRuns } from '../run-times.ts';
import type { Cudart } from './cudart.ts';
import type { KernelSteps } from './kernel-steps.ts';
import { NodeTimes } from './node-times.ts';

/** Times programs, both when the thread queues them and when a card runs them, and the card's kernels. */
export function profileCard(
  card: string,
  cudart: Cudart,
  runtime: Runtime,
  steps: KernelSteps,
): Profile {
  // The card is idle, so its first event happens now.
  cudart.synchronize();
  const beganUs = nowUs();
  const [programs, kernels] = [new NodeTimes(cudart), new NodeTimes(cudart)];
  const queued = profileRuns(runtime, programs);
  steps.times = kernels;
  const read = (times: NodeTimes, what: string): TimedRun[] =>
    times.read().map(({ name, startMs, durationMs }) => ({
      name,
      lane: `${card} ${what}`,
      startUs: beganUs + startMs * 1000,
      durationUs: durationMs * 1000,
    }));
  return {
    end: async () => {
      steps.times = undefined;
      const runs = await queued.end();
      using ofPrograms = programs;
      using ofKernels = kernels;
      return [...runs, ...read(ofPrograms, 'programs'), ...read(ofKernels, 'kernels')];
    },
  };
}
