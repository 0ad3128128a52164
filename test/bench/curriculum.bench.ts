import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { trainCurriculum } from '../../actors/trainer/curriculum.ts';
import { trainSupervised } from '../../actors/trainer/warm-start.ts';
import { configFrom } from '../../src/config/load.ts';
import { writeDemo } from '../../src/demo/write.ts';
import { scoreAnswer } from '../../src/evaluation/score.ts';
import { summarize } from '../../src/evaluation/summary.ts';
import { print } from './harness.ts';

const SEEDS = [1, 2, 3];
const signal = new AbortController().signal;
const logger = { debug() {}, info() {}, warn() {}, error() {} };
const options = { reporter: silentReporter, logger, signal };

/** A line of `generations.jsonl`. */
interface Generation {
  readonly step: number;
  readonly output: string;
  readonly ground_truth: string;
}

/**
 * CX-Mind's curriculum on the demo's open questions, against open questions alone for as many steps: micro-F1 on the open
 * validation part, the same warm start, as many prompts a step, three seeds. Open rows are few, 140 beside 896 closed
 * ones, as answers that experts wrote out are.
 */
export async function benchCurriculum(): Promise<void> {
  for (const seed of SEEDS) {
    const folder = await mkdtemp(join(tmpdir(), 'cxmind-curriculum-'));
    try {
      await compareArms(folder, seed);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

async function compareArms(folder: string, seed: number): Promise<void> {
  const paths = await writeDemo(folder, {
    seed,
    closedRejections: 2,
    rows: { openTrain: 140, openValidation: 280 },
  });
  const both = join(folder, 'both.jsonl');
  const rows = await Promise.all(
    [paths.closedTrain, paths.openTrain].map((path) => readFile(path, 'utf8')),
  );
  await writeFile(both, rows.join(''));
  const items = (run: string, model: string): string[] => [
    'config=configs/demo-curriculum.yaml',
    `curriculum.0.data.train_files=${paths.closedTrain}`,
    `curriculum.0.data.val_files=${paths.closedValidation}`,
    `curriculum.1.data.train_files=${paths.openTrain}`,
    `curriculum.1.data.val_files=${paths.openValidation}`,
    `data.image_dir=${folder}`,
    `data.seed=${seed}`,
    `trainer.seed=${seed}`,
    `trainer.save_checkpoint_path=${join(folder, run)}`,
    'trainer.val_before_train=false',
    'trainer.val_freq=-1',
    'trainer.save_freq=-1',
    'trainer.val_generations_to_log=1000000',
    `sft.train_files=${both}`,
    `worker.actor.model.model_path=${model}`,
  ];
  const sft = await configFrom(items('sft', paths.model), { purpose: 'sft' });
  const { checkpoint } = await trainSupervised(sft.config, options);

  const train = async (run: string, more: readonly string[]) => {
    const { stages } = await configFrom([...items(run, checkpoint), ...more], { purpose: 'train' });
    const named = stages.map(({ stage, config }) => ({ ...stage, config }));
    const { steps, seconds } = await trainCurriculum(named, join(folder, run), options);
    const last = stages.at(-1)!.config.trainer.saveCheckpointPath!;
    const f1 = microF1(await generationsOf(last));
    const params = { seed, steps, seconds: Math.round(seconds) };
    print({ name: `curriculum.${run}`, params, unit: 'micro-F1' }, [f1]);
    return steps;
  };
  const steps = await train('twoStages', []);
  const open = `{train_files: ${paths.openTrain}, val_files: ${paths.openValidation}}`;
  await train('openOnly', [
    `curriculum=[{name: open, data: ${open}, reward: {reward_function: open}, steps: ${steps}}]`,
  ]);
}

/** Reads the answers of the last validation. */
async function generationsOf(run: string): Promise<Generation[]> {
  const lines = (await readFile(join(run, 'generations.jsonl'), 'utf8')).trimEnd().split('\n');
  const all = lines.map((line) => JSON.parse(line) as Generation);
  return all.filter(({ step }) => step === all.at(-1)!.step);
}

/** Micro-averaged F1, as `cxmind eval` computes it. */
function microF1(generations: readonly Generation[]): number {
  const answers = generations.map(({ output, ground_truth: truth }, question) => ({
    question,
    file: 'validation',
    score: scoreAnswer('open', output, truth),
  }));
  return summarize('open', answers, []).f1_micro;
}
