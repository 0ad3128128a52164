import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '../../actors/trainer/report/reporter.ts';
import { trainPolicy } from '../../actors/trainer/run.ts';
import { configFrom } from '../../src/config/load.ts';
import { writeDemo } from '../../src/demo/write.ts';
import { createLogger } from '../../src/log.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { compare, type Measured } from './harness.ts';

/** Steps of a run; those in the middle count, as the first compiles and the last has nothing to sample ahead. */
const STEPS = 7;
const COUNTED = { from: 2, to: STEPS - 1 };
const PROMPTS = 16;
const SAMPLES = 4;
const NEW_TOKENS = 32;

/**
 * Samples per second of a run one step ahead, beside the same run in turns, with a reward that takes 200 ms for a batch.
 *
 * Every actor computes with one thread, so that sampling and training have a core each. No response ends before its last
 * token, so both runs do the same work.
 */
export async function benchAsync(): Promise<void> {
  using directory = new TemporaryDirectory();
  const demo = join(directory.path, 'demo');
  const rows = { closedTrain: PROMPTS, closedValidation: 1, openTrain: 4, openValidation: 1 };
  const paths = await writeDemo(demo, { seed: 1, rows });
  await using log = createLogger({ path: join(directory.path, 'log') });
  const samplesPerSecond = async (maxStaleness: number): Promise<Measured> => {
    const run = join(directory.path, `run-${maxStaleness}`);
    const { config } = await configFrom(
      [
        'config=configs/quickstart.yaml',
        `data.train_files=${paths.closedTrain}`,
        `data.val_files=${paths.closedValidation}`,
        `data.image_dir=${demo}`,
        `data.rollout_batch_size=${PROMPTS}`,
        `data.max_response_length=${NEW_TOKENS}`,
        `worker.actor.model.model_path=${paths.model}`,
        `worker.actor.global_batch_size=${PROMPTS}`,
        `worker.actor.micro_batch_size_per_device_for_update=${PROMPTS}`,
        `worker.actor.micro_batch_size_per_device_for_experience=${PROMPTS}`,
        `worker.rollout.n=${SAMPLES}`,
        'worker.rollout.ignore_eos=true',
        'worker.reward.reward_function=test/support/letters-reward.ts:scoreIn200Ms',
        `trainer.max_staleness=${maxStaleness}`,
        `trainer.max_steps=${STEPS}`,
        `trainer.save_checkpoint_path=${run}`,
        'trainer.find_last_checkpoint=false',
        'trainer.val_before_train=false',
        'trainer.threads=1',
      ],
      { purpose: 'train' },
    );
    const { signal } = new AbortController();
    await trainPolicy(config, { reporter: silentReporter, logger: log.logger, signal });
    const lines = readFileSync(join(run, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
    const seconds = lines
      .slice(COUNTED.from, COUNTED.to)
      .reduce((sum, line) => sum + (JSON.parse(line) as Measured)['timing_s/step']!, 0);
    return { samples: ((COUNTED.to - COUNTED.from) * PROMPTS * SAMPLES) / seconds };
  };
  const params = { prompts: PROMPTS, samples: SAMPLES, newTokens: NEW_TOKENS, rewardMs: 200 };
  await compare({ name: 'async', params, unit: 'samples/s' }, () => samplesPerSecond(1), {
    name: 'lockstep',
    measure: () => samplesPerSecond(0),
  });
}
