import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { calibrate } from '../../src/cli/plan-calibrate.ts';
import { Planner } from '../../src/cli/plan-machines.ts';
import { packageRoot } from '../../src/cli/package-root.ts';
import type { DemoModelSize } from '../../src/demo/families.ts';
import { demoModelSize } from '../../src/demo/checkpoint.ts';
import { writeDemo, type DemoPaths } from '../../src/demo/write.ts';
import { thisMachine } from '../../src/plan/machines.ts';
import { median } from '../support/median.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { print } from './harness.ts';

/** The first step compiles, the last one saves; the others count. */
const STEPS = 9;
/** Number of calibrations, and of runs, in turn. */
const ROUNDS = 3;

/** A Qwen2.5-VL of 105 M parameters. */
const large: DemoModelSize = {
  ...demoModelSize,
  ...{ hiddenSize: 768, layers: 12, heads: 12, kvHeads: 4, intermediateSize: 3072 },
  ...{ visionDepth: 4, visionHiddenSize: 256, visionHeads: 4, visionIntermediateSize: 768 },
};

/** A Qwen2.5-VL of 13 M parameters. */
const medium: DemoModelSize = {
  ...demoModelSize,
  ...{ hiddenSize: 384, layers: 6, heads: 6, kvHeads: 2, intermediateSize: 1536 },
};

/** A run whose plan is held against it. */
interface PlannedCase {
  readonly name: string;
  readonly size?: DemoModelSize;
  /** True where the prompts have no pictures. */
  readonly isText?: boolean;
  readonly items: readonly string[];
}

const cases: readonly PlannedCase[] = [
  {
    name: 'text, GRPO without a reference',
    isText: true,
    items: ['algorithm.disable_kl=true', 'algorithm.use_kl_loss=false'],
  },
  {
    name: 'pictures, GAE with critic and reference',
    items: [
      ...['algorithm.adv_estimator=gae', 'worker.critic.global_batch_size=7'],
      'worker.critic.micro_batch_size_per_device_for_update=28',
      'worker.critic.micro_batch_size_per_device_for_experience=28',
    ],
  },
  {
    name: '105 M, LoRA with gradient checkpointing',
    size: large,
    items: [
      ...['data.rollout_batch_size=2', 'worker.rollout.n=4', 'data.max_response_length=32'],
      ...['worker.actor.global_batch_size=2', 'worker.actor.model.lora.rank=16'],
      ...['worker.actor.micro_batch_size_per_device_for_update=4'],
      ...['worker.actor.micro_batch_size_per_device_for_experience=4'],
      'worker.actor.model.enable_gradient_checkpointing=true',
    ],
  },
  {
    name: '13 M, GRPO with unlike micro-batches',
    size: medium,
    items: [
      ...['data.rollout_batch_size=4', 'worker.rollout.n=8', 'worker.actor.global_batch_size=4'],
      ...['worker.actor.micro_batch_size_per_device_for_update=8'],
      ...['worker.actor.micro_batch_size_per_device_for_experience=16'],
    ],
  },
];

/** Seconds of a step and of its phases, and the peak of the process. */
interface Outcome {
  /** Seconds by phase: one number of a plan, one for each step of a run. */
  readonly seconds: Readonly<Record<string, readonly number[]>>;
  readonly peakGib: number;
}

/**
 * Plans of unlike runs against the runs: seconds of a step and of its phases, and peak memory.
 *
 * The speed of a machine that others share wanders within minutes, by a half at times. So calibrations and runs take
 * turns, and medians are compared. Responses never end early, as the plan takes them.
 */
export async function benchPlan(): Promise<void> {
  for (const { name, size, isText = false, items } of cases) {
    using directory = new TemporaryDirectory();
    process.env['XDG_CACHE_HOME'] = directory.path;
    const demo = join(directory.path, 'demo');
    const rows = { closedTrain: 56, closedValidation: 1, openTrain: 1, openValidation: 1 };
    const written = await writeDemo(demo, { seed: 1, rows, ...(size && { modelSize: size }) });
    const paths = isText ? withoutPictures(written) : written;
    const [plans, runs]: [Outcome[], Outcome[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      const run = join(directory.path, `run-${round}`);
      const all = [...itemsOf(demo, paths, run), ...items];
      plans.push(await plan(all));
      runs.push(train(all, run));
    }
    for (const phase of Object.keys(plans[0]!.seconds)) {
      const secondsOf = (outcomes: readonly Outcome[]): number[] =>
        outcomes.flatMap(({ seconds }) => seconds[phase] ?? []);
      if (secondsOf(runs).length > 0)
        printPair(name, phase, 's', secondsOf(plans), secondsOf(runs));
    }
    const peaksOf = (outcomes: readonly Outcome[]): number[] => outcomes.map((one) => one.peakGib);
    printPair(name, 'peakMemory', 'GiB', peaksOf(plans), peaksOf(runs));
  }
}

/** Calibrates this machine and plans a run. */
async function plan(items: readonly string[]): Promise<Outcome> {
  const measured = await calibrate([...items], {});
  const { estimate } = await new Planner([...items], {}).tryOn(thisMachine(measured), []);
  const { prefill, decode, ...others } = estimate.seconds;
  const seconds = { step: estimate.stepSeconds, gen: prefill + decode, ...others };
  return {
    seconds: Object.fromEntries(Object.entries(seconds).map(([phase, one]) => [phase, [one]])),
    peakGib: estimate.memory[0]!.peakBytes / 2 ** 30,
  };
}

/** Runs it, in a process of its own. */
function train(items: readonly string[], run: string): Outcome {
  execFileSync(process.execPath, [join(packageRoot(), 'bin/cxmind.js'), 'train', ...items]);
  const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const metrics = lines.map((line) => JSON.parse(line) as Readonly<Record<string, number>>);
  const names = Object.keys(metrics[1]!).filter((name) => name.startsWith('timing_s/'));
  return {
    seconds: Object.fromEntries(
      names.map((name) => [
        name.slice('timing_s/'.length),
        metrics.slice(1, -1).flatMap((of) => of[name] ?? []),
      ]),
    ),
    peakGib: Math.max(...metrics.map((of) => of['perf/max_memory_allocated_gb']!)),
  };
}

function printPair(
  run: string,
  part: string,
  unit: string,
  planned: readonly number[],
  measured: readonly number[],
): void {
  const params = { run };
  print({ name: `plan.${part}.planned`, params, unit }, planned);
  print({ name: `plan.${part}.measured`, params, unit }, measured);
  const ratio = median(planned) / median(measured);
  print({ name: `plan.${part}.ratio`, params, unit: 'planned / measured' }, [ratio]);
}

function itemsOf(demo: string, paths: DemoPaths, run: string): string[] {
  return [
    'config=configs/quickstart.yaml',
    `data.train_files=${paths.closedTrain}`,
    `data.val_files=${paths.closedValidation}`,
    `data.image_dir=${demo}`,
    `worker.actor.model.model_path=${paths.model}`,
    `trainer.save_checkpoint_path=${run}`,
    `trainer.max_steps=${STEPS}`,
    ...['data.rollout_batch_size=14', 'worker.actor.global_batch_size=7'],
    ...['worker.rollout.ignore_eos=true', 'trainer.val_freq=-1', 'trainer.save_freq=-1'],
    ...['trainer.val_before_train=false', 'trainer.logger=file'],
    'worker.reward.reward_function=test/support/letters-reward.ts:score',
  ];
}

/** The same questions without their pictures. */
function withoutPictures(paths: DemoPaths): DemoPaths {
  for (const file of [paths.closedTrain, paths.closedValidation]) {
    const rows = readFileSync(file, 'utf8').trim().split('\n');
    const texts = rows.map((row) => {
      const { images: _, prompt, ...rest } = JSON.parse(row) as { images: unknown; prompt: string };
      return JSON.stringify({ ...rest, prompt: prompt.replaceAll('<image>', '') });
    });
    writeFileSync(file, `${texts.join('\n')}\n`);
  }
  return paths;
}
