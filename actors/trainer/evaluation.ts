import type { Config } from '../../src/config/schema.ts';
import { initialGateState } from '../../src/reward/gate.ts';
import { ActorSystem } from '../runtime/system.ts';
import { PolicyWeights } from '../weights/policy-weights.ts';
import { warnOfData } from './data-report.ts';
import { onThisMachine } from './on-this-machine.ts';
import { loadPolicy } from './models.ts';
import { placeRun } from './placement.ts';
import { planRun } from './plan.ts';
import { joinNodes, type RunOptions } from './run.ts';
import { spawnRollouts, spawnTask } from './spawn.ts';
import { validate, type OnScored, type Validation } from './validation.ts';

const TIMEOUT_MS = 3600_000;

/**
 * Lets a policy answer the validation set with the validation sampling, and scores the answers; nothing is trained, so
 * no gradients or moments are held.
 *
 * @param onScored called with the answers of each batch as soon as they are scored
 */
export async function evaluatePolicy(
  given: Config,
  options: RunOptions,
  onScored: OnScored,
): Promise<Validation> {
  const { logger, reporter } = options;
  const config = await onThisMachine(given, reporter);
  await using system = new ActorSystem(options);
  const hosts = await joinNodes(system, options);
  const signal = AbortSignal.any([options.signal, system.signal]);
  const plan = planRun(config, [], (line) => reporter.note(line));
  const places = placeRun(plan.placement, hosts);
  const policy = await loadPolicy(system, plan.policy.model);
  await using weights = new PolicyWeights(system, policy, logger);
  const sets = { trainFiles: null, validationFiles: config.data.valFiles, batchSize: 1 };
  const task = { ...plan.task, data: { ...plan.task.data, ...sets } };
  const actors = {
    task: await spawnTask(system, task, policy.config, places.rewards),
    rollouts: await spawnRollouts(system, plan.rollout, policy, weights, places.rollouts),
  };
  weights.trained.publish(1);
  const ask = { timeoutMs: TIMEOUT_MS, signal };
  const { validationPrompts, notes } = await actors.task.data.ask.summary(undefined, ask);
  warnOfData(notes, reporter);
  const context = { plan, actors, weights: weights.trained, reporter, signal };
  try {
    return await validate(context, validationPrompts, initialGateState, onScored);
  } catch (error) {
    // A lost actor cancels what the others do: the loss is what ended it.
    system.signal.throwIfAborted();
    throw error;
  }
}
