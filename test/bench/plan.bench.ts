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
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { print } from './harness.ts';

/** The first step compiles, the last one saves; the others count. */
const STEPS = 9;

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

/**
 * Plans of unlike runs against the runs: seconds of a step and of its phases, and peak memory. The machine is
 * calibrated before each, so that plan and run see the same load. Responses never end early, as the plan takes them.
 */
export async function benchPlan(): Promise<void> {
  for (const { name, size, isText = false, items } of cases) {
    using directory = new TemporaryDirectory();
    process.env['XDG_CACHE_HOME'] = directory.path;
    const demo = join(directory.path, 'demo');
    const rows = { closedTrain: 56, closedValidation: 1, openTrain: 1, openValidation: 1 };
    const paths = await writeDemo(demo, { seed: 1, rows, ...(size && { modelSize: size }) });
    const run = join(directory.path, 'run');
    const all = [...itemsOf(demo, isText ? withoutPictures(paths) : paths, run), ...items];
    const measured = await calibrate(all, {});
    const { estimate } = await new Planner(all, {}).tryOn(thisMachine(measured), []);
    execFileSync(process.execPath, [join(packageRoot(), 'bin/cxmind.js'), 'train', ...all]);
    const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const metrics = lines.map((line) => JSON.parse(line) as Readonly<Record<string, number>>);
    const { seconds, stepSeconds, memory } = estimate;
    const { prefill, decode, ...others } = seconds;
    const planned = { step: stepSeconds, gen: prefill + decode, ...others };
    for (const [phase, plan] of Object.entries(planned)) {
      const key = `timing_s/${phase}`;
      const values = metrics.slice(1, -1).flatMap((of) => of[key] ?? []);
      if (values.length > 0) printPair(name, phase, 's', plan, values);
    }
    const peak = metrics.map((of) => of['perf/max_memory_allocated_gb']!);
    printPair(name, 'peakMemory', 'GiB', memory[0]!.peakBytes / 2 ** 30, [Math.max(...peak)]);
  }
}

function printPair(
  run: string,
  part: string,
  unit: string,
  planned: number,
  measured: readonly number[],
): void {
  const params = { run };
  print({ name: `plan.${part}.planned`, params, unit }, [planned]);
  print({ name: `plan.${part}.measured`, params, unit }, measured);
  const median = measured.toSorted((a, b) => a - b)[Math.floor(measured.length / 2)]!;
  print({ name: `plan.${part}.ratio`, params, unit: 'planned / measured' }, [planned / median]);
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
