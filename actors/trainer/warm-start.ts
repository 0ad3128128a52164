import { join } from 'node:path';
import type { Config } from '../../src/config/schema.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Metrics } from '../../src/metrics.ts';
import { ActorSystem } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { onThisMachine } from './on-this-machine.ts';
import { reportData, warnOfData } from './data-report.ts';
import { isDue } from './due.ts';
import { heldOutLoss } from './held-out-loss.ts';
import { ImitationReport } from './imitation-report.ts';
import { imitationRate } from './learning-rates.ts';
import { placeLearners } from './placement.ts';
import { loadPolicy } from './models.ts';
import { planSupervised } from './plan.ts';
import { RunLock } from './run-lock.ts';
import { anyInterruption, type TrainingOptions } from './run.ts';
import { spawnData, spawnLearners } from './spawn.ts';

/** The result of supervised training. */
export interface SupervisedSummary {
  readonly steps: number;
  /** Mean loss of the last step, nats per token. */
  readonly loss: number;
  /** That of held-out answers, before the first step and the last time it was measured; null where it was not. */
  readonly validationLoss: { readonly before: number; readonly after: number } | null;
  /** Hugging Face directory. */
  readonly checkpoint: string;
}

const TIMEOUT_MS = 24 * 3600_000;

/**
 * Supervised fine-tuning on the reference answers (`sft` of the config): a warm start for RL.
 *
 * Its folder gets the model and `metrics.jsonl`, a line a step; preempted, the model as it is then. The loss on held-out
 * answers is measured before the first step, every `val_freq` steps and after the last.
 */
export async function trainSupervised(
  given: Config,
  options: TrainingOptions,
): Promise<SupervisedSummary> {
  const { reporter, logger, preemption, signal: interrupted } = options;
  const plan = planSupervised(await onThisMachine(given, reporter));
  const { folder, sft } = plan;
  await using _ = await RunLock.take(folder);
  await using system = new ActorSystem({ ...options, signal: anyInterruption(options) });
  const policy = await loadPolicy(system, plan.policy.model);
  for (const note of policy.notes) reporter.note(note);
  await using weights = new PolicyWeights(system, policy, logger);
  const signal = AbortSignal.any([interrupted, system.signal]);
  const ask = { timeoutMs: TIMEOUT_MS, signal };
  const data = await spawnData(system, plan.task, policy.config);
  const stations = placeLearners(plan.placement, [{ node: null, slots: 1 }]);
  const learners = await spawnLearners(system, plan.policy, policy, weights, stations);
  const summary = await data.ask.summary(undefined, ask);
  reportData(summary, reporter);
  const steps = sft.maxSteps ?? sft.epochs * Math.floor(summary.trainPrompts / sft.batchSize);
  await using report = await ImitationReport.open(plan, options);
  const heldOut = {
    data,
    learners,
    reporter,
    prompts: summary.validationPrompts,
    batchSize: sft.batchSize,
    preemption,
  };
  const losses: number[] = [];
  const validation = async (step: number): Promise<Metrics> => {
    const measured = await heldOutLoss(heldOut, ask);
    if (measured === null) return {};
    losses.push(measured);
    return report.validation(step, measured);
  };
  const before = await validation(0);
  if (losses.length > 0) await report.keep(0, before);
  const began = performance.now();
  let done = 0;
  let loss = NaN;
  while (done < steps && preemption?.aborted !== true) {
    const started = performance.now();
    const { samples, notes } = await data.ask.nextSolutions(undefined, ask);
    warnOfData(notes, reporter);
    const learningRate = imitationRate(sft, { step: done + 1, steps });
    const result = await learners.imitate(samples, learningRate, ask);
    done++;
    ({ loss } = result);
    const now = performance.now();
    const metrics = report.step(result, {
      step: done,
      steps,
      seconds: (now - started) / 1000,
      secondsLeft: ((now - began) / 1000 / done) * (steps - done),
      learningRate,
    });
    if (!Number.isFinite(loss)) {
      await report.keep(done, metrics);
      throw new CxmindError(
        'NUMERIC_NONFINITE',
        `sft: the loss is not finite at step ${done}; lower sft.lr`,
      );
    }
    const isValidated = done === steps || isDue(sft.valFreq, done);
    await report.keep(done, { ...metrics, ...(isValidated && (await validation(done))) });
  }
  if (done < steps) {
    // There is nothing to go on from: the model has not changed.
    if (done === 0) preemption?.throwIfAborted();
    reporter.note(`stopped after step ${done} of ${steps}; ${folder} has the model so far`);
  }
  await learners.save({ directory: folder, modelOnly: true }, ask);
  report.finish();
  return {
    steps: done,
    loss,
    validationLoss: losses.length < 2 ? null : { before: losses[0]!, after: losses.at(-1)! },
    checkpoint: join(folder, 'huggingface'),
  };
}
