import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { trainPolicy } from '../../actors/trainer/run.ts';
import { configFrom } from '../../src/config/load.ts';
import { writeDemo } from '../../src/demo/write.ts';
import { createLogger } from '../../src/log.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { compare, print, type Measured, type Opponent } from './harness.ts';
import { Peer } from './peer.ts';

/** The first step pays for compilation; the second counts. */
const STEPS = 2;
const NEW_TOKENS = 64;
const PROMPTS = 56;
/** Phases under our metrics' names, by the names in which they are reported. */
const PHASES = {
  step: 'step',
  gen: 'gen',
  reward: 'reward',
  old: 'old',
  ref: 'ref',
  update: 'update_actor',
} as const;

/**
 * Seconds by phase of a GRPO step as the quickstart takes it, beside TRL on the same checkpoint, pictures and
 * questions. The weights are random and no response ends before its last token, so that both sides do the
 * same work, which is four times the tokens of a trained model's answers.
 */
export async function benchStep(): Promise<void> {
  using directory = new TemporaryDirectory();
  const demo = join(directory.path, 'demo');
  const rows = { closedTrain: PROMPTS, closedValidation: 1, openTrain: 140, openValidation: 1 };
  const paths = await writeDemo(demo, { seed: 1, rows });
  const run = join(directory.path, 'run');
  const { config } = await configFrom(
    [
      'config=configs/quickstart.yaml',
      `data.train_files=${paths.closedTrain}`,
      `data.val_files=${paths.closedValidation}`,
      `data.image_dir=${demo}`,
      `data.max_response_length=${NEW_TOKENS}`,
      `worker.actor.model.model_path=${paths.model}`,
      'worker.rollout.ignore_eos=true',
      'worker.reward.reward_function=test/support/letters-reward.ts:score',
      `trainer.max_steps=${STEPS}`,
      `trainer.save_checkpoint_path=${run}`,
      'trainer.find_last_checkpoint=false',
      'trainer.val_before_train=false',
    ],
    { purpose: 'train' },
  );
  const { data, worker, algorithm } = config;
  const params = {
    prompts: data.rolloutBatchSize,
    samples: worker.rollout.n,
    newTokens: NEW_TOKENS,
    updates: data.rolloutBatchSize / worker.actor.globalBatchSize,
  };
  await using log = createLogger({ path: join(directory.path, 'log') });
  const ours = async (): Promise<Measured> => {
    const { signal } = new AbortController();
    await trainPolicy(config, { reporter: silentReporter, logger: log.logger, signal });
    const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
    const metrics = JSON.parse(lines.at(-1)!) as Record<string, number>;
    return Object.fromEntries(
      Object.entries(PHASES).map(([name, phase]) => [name, metrics[`timing_s/${phase}`]!]),
    );
  };
  await using trl = Peer.start('TRL', 'grpo.py', {
    model: paths.model,
    data: paths.closedTrain,
    imageDir: demo,
    threads: availableParallelism(),
    prompts: params.prompts,
    samples: params.samples,
    promptsPerUpdate: worker.actor.globalBatchSize,
    microBatch: worker.actor.microBatchSizePerDeviceForUpdate,
    newTokens: NEW_TOKENS,
    klCoef: algorithm.klCoef,
  });
  const memory: number[] = [];
  const opponent: Opponent | undefined = trl && {
    name: trl.name,
    measure: async (of) => {
      const { memory: peak, ...phases } = await trl.measure(of);
      memory.push(peak!);
      return phases;
    },
  };
  await compare({ name: 'step', params, unit: 's' }, ours, opponent);
  if (memory.length > 0) print({ name: 'step.peakMemory.TRL', params, unit: 'MiB' }, memory);
}
