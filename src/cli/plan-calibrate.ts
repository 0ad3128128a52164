/** The calibration of this machine for plans: its programs at a run's shapes, and the memory of a run's process. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeDemo } from '../demo/write.ts';
import { keepCalibration, type Measured } from '../plan/calibration.ts';
import { fittedRates } from '../plan/fit.ts';
import { ratesOf, thisMachine, threadsOn } from '../plan/machines.ts';
import { probed } from '../plan/probes.ts';
import { madeResponses } from '../plan/prompts.ts';
import { totalLength } from '../training/experience.ts';
import { microBatches } from '../training/micro-batches.ts';
import { demoItems } from './draw-demo.ts';
import { packageRoot } from './package-root.ts';
import { Planner, type PlanFlags } from './plan-machines.ts';

/** Prompts that are enough for every probe. */
const PROMPTS = 16;

/** Measures this machine by the programs of a config's model, and keeps the numbers for plans. */
export async function calibrate(items: readonly string[], flags: PlanFlags): Promise<Measured> {
  const baseBytes = await measuredBase();
  const { policy, step, run } = await new Planner(items, flags).onThisMachine();
  const { threads } = run.policy.model;
  const { n } = run.step.sampling;
  const { gradientCheckpointing, experienceMicroBatch, updateMicroBatch } = run.policy.settings;
  const samples = madeResponses(step.prompts, n, step.responseTokens);
  const measurements = await probed(policy.config, step.prompts.slice(0, PROMPTS), {
    ...{ gradientCheckpointing, n, responseTokens: step.responseTokens, threads },
    passTokens: [experienceMicroBatch, updateMicroBatch].map((options) =>
      totalLength(microBatches(samples, options)[0]!.map((i) => samples[i]!)),
    ),
  });
  const machine = thisMachine(null);
  const measured = {
    baseBytes,
    threads: threadsOn(machine, threads),
    seconds: fittedRates(measurements, ratesOf(machine, 'cpu', 'f32', threads)),
  };
  await keepCalibration(measured);
  return measured;
}

/**
 * Steps in which the heaps of a run's threads grow, by some 40 MiB. Nothing more than 10 MiB comes in the next hundred.
 */
const GROWING_STEPS = 12;

/**
 * Bytes of a run's process beside its models, which its threads with their heaps and its libraries take.
 *
 * It is the peak of small steps of the quickstart, less the bytes of its models by their plan.
 */
async function measuredBase(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'cxmind-plan-'));
  try {
    const demo = join(folder, 'demo');
    const rows = { closedTrain: 28, closedValidation: 1, openTrain: 1, openValidation: 1 };
    const paths = await writeDemo(demo, { seed: 1, rows });
    const items = [
      ...demoItems(demo, paths),
      ...['trainer.val_before_train=false', 'trainer.logger=file', 'data.max_response_length=32'],
      ...['data.rollout_batch_size=4', 'worker.actor.global_batch_size=4', 'worker.rollout.n=7'],
      'worker.rollout.ignore_eos=true',
    ];
    const bin = join(packageRoot(), 'bin/cxmind.js');
    const train = async (steps: number): Promise<string> => {
      const run = join(folder, `${steps}-steps`);
      const own = [`trainer.save_checkpoint_path=${run}`, `trainer.max_steps=${steps}`];
      await promisify(execFile)(process.execPath, [bin, 'train', ...items, ...own]);
      return await readFile(join(run, 'metrics.jsonl'), 'utf8');
    };
    // The first start may compile cxmind itself, which takes 60 MiB; later starts find that in the cache.
    await train(1);
    const lines = (await train(GROWING_STEPS)).trim().split('\n');
    const metrics = JSON.parse(lines.at(-1)!) as Readonly<Record<string, number>>;
    const peakBytes = metrics['perf/max_memory_allocated_gb']! * 2 ** 30;
    const { estimate } = await new Planner(items, {}).tryOn(thisMachine({ baseBytes: 0 }), []);
    return Math.max(0, peakBytes - estimate.memory[0]!.peakBytes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
