import { join } from 'node:path';
import { learnerCount } from '../../src/config/derive.ts';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { withLocalModels } from '../../src/hub/model.ts';
import { ActorSystem } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { spawnData, spawnLearners } from './cast.ts';
import { imitationRate } from './learning-rates.ts';
import { loadPolicy } from './policy.ts';
import { RunLock } from './run-lock.ts';
import type { TrainingOptions } from './run.ts';

/** The result of supervised training. */
export interface SupervisedSummary {
  readonly steps: number;
  /** Mean loss of the last step, nats per token. */
  readonly loss: number;
  /** Hugging Face directory. */
  readonly checkpoint: string;
}

const TIMEOUT_MS = 24 * 3600_000;

/** Supervised fine-tuning on the reference answers (`sft` of the config): a warm start for RL. */
export async function trainSupervised(
  given: Config,
  options: TrainingOptions,
): Promise<SupervisedSummary> {
  const config = await withLocalModels(given);
  const { reporter, logger, signal: interrupted } = options;
  const { sft } = config;
  const folder = sft.saveCheckpointPath ?? join(config.trainer.saveCheckpointPath ?? '.', 'sft');
  await using _ = await RunLock.take(folder);
  await using system = new ActorSystem(options);
  const policy = await loadPolicy(system, config);
  for (const note of policy.notes) reporter.note(note);
  await using weights = new PolicyWeights(system, policy, logger);
  const signal = AbortSignal.any([interrupted, system.signal]);
  const ask = { timeoutMs: TIMEOUT_MS, signal };
  const data = await spawnData(system, config, policy, {
    trainFiles: sft.trainFiles ?? config.data.trainFiles,
    validationFiles: null,
    batchSize: sft.batchSize,
  });
  const places = Array.from({ length: learnerCount(config) }, () => 'thread' as const);
  const learners = await spawnLearners(system, config, policy, weights, places);
  const { trainPrompts } = await data.ask.summary(undefined, ask);
  const steps = sft.maxSteps ?? sft.epochs * Math.floor(trainPrompts / sft.batchSize);
  let done = 0;
  let loss = NaN;
  {
    using _ = reporter.phase({ name: 'sft', total: steps, done: () => done });
    for (; done < steps; done++) {
      const { samples } = await data.ask.nextSolutions(undefined, ask);
      const learningRate = imitationRate(config, { step: done + 1, steps });
      const result = await learners.imitate(samples, learningRate, ask);
      ({ loss } = result);
      logger.info({ step: done + 1, ...result, learningRate }, 'sft');
      if (!Number.isFinite(loss)) {
        throw new CxmindError(
          'NUMERIC_NONFINITE',
          `sft: the loss is not finite at step ${done + 1}; lower sft.lr`,
        );
      }
    }
  }
  await learners.save({ directory: folder, modelOnly: true }, ask);
  return { steps, loss, checkpoint: join(folder, 'huggingface') };
}
