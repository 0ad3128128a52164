import { join } from 'node:path';
import { learnerCount } from '../../src/config/derive.ts';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import { withLocalModels } from '../../src/hub/model.ts';
import { ActorSystem } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { spawnData, spawnLearners } from './cast.ts';
import { withDevice } from './device.ts';
import { reportData, warnOfData } from './data-report.ts';
import { imitationRate } from './learning-rates.ts';
import { loadPolicy } from './policy.ts';
import { RunFiles } from './run-files.ts';
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

/**
 * Supervised fine-tuning on the reference answers (`sft` of the config): a warm start for RL.
 *
 * Its folder gets the model and `metrics.jsonl`, a line a step; preempted, the model as it is then.
 */
export async function trainSupervised(
  given: Config,
  options: TrainingOptions,
): Promise<SupervisedSummary> {
  const { reporter, logger, preemption, signal: interrupted } = options;
  const config = withDevice(await withLocalModels(given), (line) => reporter.note(line));
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
  const summary = await data.ask.summary(undefined, ask);
  reportData(summary, reporter);
  const steps = sft.maxSteps ?? sft.epochs * Math.floor(summary.trainPrompts / sft.batchSize);
  const files = await RunFiles.open(folder);
  await files.keepUntil(-1, -1);
  let done = 0;
  let loss = NaN;
  {
    using _ = reporter.phase({ name: 'sft', total: steps, done: () => done });
    for (; done < steps && preemption?.aborted !== true; done++) {
      const { samples, notes } = await data.ask.nextSolutions(undefined, ask);
      warnOfData(notes, reporter);
      const learningRate = imitationRate(config, { step: done + 1, steps });
      const result = await learners.imitate(samples, learningRate, ask);
      ({ loss } = result);
      logger.info({ step: done + 1, ...result, learningRate }, 'sft');
      await files.metrics(done + 1, {
        'sft/loss': loss,
        'sft/grad_norm': result.gradientNorm,
        'sft/tokens': result.tokens,
        'sft/lr': learningRate,
      });
      if (!Number.isFinite(loss)) {
        throw new CxmindError(
          'NUMERIC_NONFINITE',
          `sft: the loss is not finite at step ${done + 1}; lower sft.lr`,
        );
      }
    }
  }
  if (done < steps) {
    // There is nothing to go on from: the model has not changed.
    if (done === 0) preemption?.throwIfAborted();
    reporter.note(`stopped after step ${done} of ${steps}; ${folder} has the model so far`);
  }
  await learners.save({ directory: folder, modelOnly: true }, ask);
  return { steps: done, loss, checkpoint: join(folder, 'huggingface') };
}
