import type { Config } from '../../src/config/schema.ts';
import { initialGateState } from '../../src/reward/gate.ts';
import { rewardChoice } from '../../src/reward/configured.ts';
import { ActorSystem } from '../runtime/system.ts';
import { WeightSync } from '../weights/sync.ts';
import { loadPolicy, spawnData, spawnRewards, spawnRollouts } from './cast.ts';
import { placeRun } from './placement.ts';
import { joinNodes, type RunOptions } from './run.ts';
import { validate, type OnScored, type Validation } from './validation.ts';

const TIMEOUT_MS = 3600_000;

/**
 * Lets a policy answer the validation set with the validation sampling, and scores the answers; nothing is trained, so
 * no gradients or moments are held.
 *
 * @param onScored called with the answers of each batch as soon as they are scored
 */
export async function evaluatePolicy(
  config: Config,
  options: RunOptions,
  onScored: OnScored,
): Promise<Validation> {
  const { logger, reporter } = options;
  await using system = new ActorSystem({ logger });
  const hosts = await joinNodes(system, options);
  const signal = AbortSignal.any([options.signal, system.signal]);
  const places = placeRun(config, hosts);
  const checkpoint = await loadPolicy(system, config);
  const { gate } = rewardChoice(config.worker.reward);
  await using weights = new WeightSync(system, 'policy', checkpoint.arena, logger);
  const cast = {
    data: await spawnData(system, config, checkpoint, {
      trainFiles: null,
      validationFiles: config.data.valFiles,
      batchSize: 1,
    }),
    rollouts: await spawnRollouts(system, config, checkpoint, weights, places.rollouts),
    rewards: await spawnRewards(system, config, places.rewards),
  };
  weights.publish(1);
  const ask = { timeoutMs: TIMEOUT_MS, signal };
  const { validationPrompts } = await cast.data.ask.summary(undefined, ask);
  const context = { cast, weights, config, gate, reporter, signal };
  try {
    return await validate(context, validationPrompts, initialGateState, onScored);
  } catch (error) {
    // A lost actor cancels what the others do: the loss is what ended it.
    system.signal.throwIfAborted();
    throw error;
  }
}
