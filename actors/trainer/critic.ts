import { resolve } from 'node:path';
import { learnerCount } from '../../src/config/derive.ts';
import type { Config } from '../../src/config/schema.ts';
import { ignoredOverrides } from '../../src/model/checkpoint/config-file.ts';
import { visionLength } from '../../src/model/parameters.ts';
import { loadValueCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import type { ActorSystem } from '../runtime/system.ts';
import {
  computedBy,
  modelMarker,
  modelPathOf,
  notesOf,
  roundToStorage,
  type LoadedPolicy,
} from './policy.ts';

/** The value model in the memory that the critics of this process share, and what of it is trained. */
export type LoadedCritic = Omit<LoadedPolicy, 'adapter'>;

/** Loads the value model, where there is one, into a block of this process, divided among the critics. */
export async function loadCritic(
  system: ActorSystem,
  config: Config,
): Promise<LoadedCritic | null> {
  if (config.algorithm.advEstimator !== 'gae') return null;
  const { model, fsdp } = config.worker.critic;
  const { freezeVisionTower, overrideConfig: overrides } = model;
  const critic = await loadValueCheckpoint(resolve(model.modelPath ?? modelPathOf(config)), {
    seed: config.trainer.seed,
    parts: learnerCount(config),
    memory: (sizeBytes) => system.blocks.get(modelMarker('critic', sizeBytes, config)),
    freezeVisionTower,
    overrides,
    signal: system.starting,
  });
  roundToStorage(fsdp.torchDtype, critic.arena.data);
  letGo(critic.arena.data);
  const frozenLength = freezeVisionTower ? visionLength(critic.config) : 0;
  // A new head is as wide as `initializer_range` says.
  const ignored = ignoredOverrides(critic.config, overrides, ['initializer_range']);
  const notes = notesOf({ ...critic, adapter: null, frozenLength }, ignored, freezeVisionTower);
  return {
    ...critic,
    frozenLength,
    isVisionFixed: freezeVisionTower,
    ...computedBy(config, config.worker.critic),
    overrides,
    notes: notes.map((note) => `critic: ${note}`),
  };
}
