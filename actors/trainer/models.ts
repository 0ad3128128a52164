/**
 * The models of a run: their weights in memory that all actors of the process share, and the props that hand them to an
 * actor.
 */
import type { DeviceName } from '../../src/device/open.ts';
import { initializeAdapter, type Adapter } from '../../src/model/adapters/adapter.ts';
import { adapterSpec, targetsOf } from '../../src/model/adapters/selection.ts';
import { dividedInto, parameterCount } from '../../src/model/weights/arena-layout.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { loadCheckpoint, type LoadedCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { ignoredOverrides, type ConfigOverrides } from '../../src/model/checkpoint/config-file.ts';
import { adapterLayout, adaptsVision } from '../../src/model/adapters/model-adapters.ts';
import { visionLength } from '../../src/model/parameters.ts';
import { loadValueCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import { roundTo } from '../../src/tensor/half.ts';
import { FROZEN_VERSION, type ModelProps } from '../model-props.ts';
import { ReferenceWeights } from '../weights/reference-weights.ts';
import type { Logger } from '../runtime/actor.ts';
import type { SharedMarker, WithSharedBlocks } from '../runtime/shared-blocks.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { pairedParts } from '../weights/paired-parts.ts';
import { adapterBlock, type PolicyWeights } from '../weights/policy-weights.ts';
import { weightsMarker, WeightSync, type Synced } from '../weights/sync.ts';
import type { ComputeSettings, ModelSettings } from './settings.ts';

/** A model in shared memory, and the part of it that is trained. */
export interface LoadedModel extends LoadedCheckpoint, ComputeSettings {
  /** Adapters trained instead of the weights; null where weights are trained. */
  readonly adapter: Adapter | null;
  /** Elements at the beginning of the weights that are not trained: those of a frozen vision tower. */
  readonly frozenLength: number;
  /** True where the vision tower never changes, so that its output for an image may be kept. */
  readonly isVisionFixed: boolean;
  /** Keys laid over the checkpoint's config. */
  readonly overrides: ConfigOverrides;
  /** Notes for the user. */
  readonly notes: readonly string[];
}

/** Loads the policy. The part that is trained is divided among the learners. */
export async function loadPolicy(
  system: ActorSystem,
  settings: ModelSettings,
): Promise<LoadedModel> {
  const { path, overrides, freezeVisionTower, lora, learners } = settings;
  const checkpoint = await loadCheckpoint(path, {
    parts: lora === null ? learners : 1,
    memory: (sizeBytes) => system.blocks.get(modelMarker('policy', sizeBytes, settings)),
    freezeVisionTower,
    overrides,
    signal: system.starting,
  });
  const adapter = lora === null ? null : newAdapter(system, settings, lora, checkpoint);
  return loadedModel(checkpoint, adapter, settings);
}

/** Loads the value model, divided among the critics. */
export async function loadCritic(
  system: ActorSystem,
  settings: ModelSettings,
): Promise<LoadedModel> {
  const { path, overrides, freezeVisionTower, learners, seed } = settings;
  const checkpoint = await loadValueCheckpoint(path, {
    seed,
    parts: learners,
    memory: (sizeBytes) => system.blocks.get(modelMarker('critic', sizeBytes, settings)),
    freezeVisionTower,
    overrides,
    signal: system.starting,
  });
  // A new head is as wide as `initializer_range` says.
  const critic = loadedModel(checkpoint, null, settings, ['initializer_range']);
  return { ...critic, notes: critic.notes.map((note) => `critic: ${note}`) };
}

/**
 * True where the reference needs no f32 memory of its own: a copy in the dtype that it computes in, on its device or
 * offloaded from it, is filled from the policy's weights before these change.
 *
 * @param moves true for a reference that moves later, in f32
 */
export function takesPolicyWeights(reference: ComputeSettings, moves: boolean): boolean {
  const { devices, isOffloaded, storage, computeDType } = reference;
  const isAsExact = storage === 'f32' || storage === computeDType;
  // Offloaded weights in f32 are computed with where they lie.
  const hasCopy = !isOffloaded || computeDType !== 'f32';
  return !moves && isAsExact && hasCopy && devices.every((device) => device !== 'cpu');
}

/**
 * Freezes the reference: the policy's weights as they are now. They are copied, unless `takesPolicyWeights` says that a
 * copy in another place will do. Where adapters are trained, the reference reads the very weights beside them.
 */
export function freezeReference(
  system: ActorSystem,
  settings: ComputeSettings,
  { arena, frozenLength }: LoadedModel,
  weights: PolicyWeights,
  logger: Logger,
  moves: boolean,
): ReferenceWeights {
  if (weights.frozen !== null) return new ReferenceWeights(weights.frozen, null);
  const frozenAs = (of: Pick<Synced, 'arena' | 'block'>): WeightSync => {
    const frozen = new WeightSync(system, 'reference', { ...settings, ...of }, logger);
    frozen.publish(FROZEN_VERSION);
    return frozen;
  };
  if (takesPolicyWeights(settings, moves)) {
    return new ReferenceWeights(frozenAs({ arena, block: 'policy' }), null);
  }
  const marker = modelMarker('reference', arena.byteLength, settings);
  const copy = new Arena(arena.layout, system.blocks.get(marker));
  for (const [from, to] of pairedParts(arena, copy)) {
    to.set(from);
    roundTo(settings.storage, to);
  }
  const frozen = frozenAs({ arena: copy });
  const [own, policy] = [copy, arena].map((whole) => whole.from(frozenLength));
  return new ReferenceWeights(frozen, { own: own!, policy: policy!, storage: settings.storage });
}

/** Props of a model for an actor. */
export function modelProps(
  { config, arena, frozenLength, isVisionFixed, threads }: LoadedModel,
  weights: WeightSync,
  device: DeviceName,
): WithSharedBlocks<ModelProps> {
  return {
    config,
    layout: arena.layout,
    ...weights.markers(device),
    frozenLength,
    isVisionFixed,
    device,
    ...(threads !== null && { threads }),
  };
}

/** Props of the policy, adapters included. @param trained the learners' weights, or those of rollouts */
export function policyProps(
  policy: LoadedModel,
  { frozen, trained }: Pick<PolicyWeights, 'frozen' | 'trained'>,
  device: DeviceName,
): WithSharedBlocks<ModelProps> {
  const { adapter } = policy;
  return {
    ...modelProps(policy, frozen ?? trained, device),
    ...(adapter !== null && {
      adapter: { spec: adapter.spec, layout: adapter.arena.layout, ...trained.markers(device) },
    }),
  };
}

/** The marker of a model's block, which is in a file where it is offloaded from the memory that programs compute in. */
function modelMarker(
  name: 'policy' | 'critic' | 'reference',
  sizeBytes: number,
  { devices, isOffloaded }: ComputeSettings,
): SharedMarker {
  return weightsMarker(name, sizeBytes, isOffloaded && devices[0] === 'cpu');
}

/**
 * Rounds the part of a model that is trained, and describes it. The weights under adapters stay as they came.
 *
 * @param read keys of `override_config` that count though no checkpoint's config has them
 */
function loadedModel(
  checkpoint: LoadedCheckpoint,
  adapter: Adapter | null,
  { devices, computeDType, isOffloaded, storage, threads, ...settings }: ModelSettings,
  read: readonly string[] = [],
): LoadedModel {
  const { overrides, freezeVisionTower } = settings;
  const { config } = checkpoint;
  roundTo(storage, (adapter?.arena ?? checkpoint.arena).data);
  letGo(checkpoint.arena.data);
  const model = {
    ...checkpoint,
    ...{ devices, computeDType, isOffloaded, storage, threads },
    ...{ adapter, overrides },
    frozenLength: freezeVisionTower && adapter === null ? visionLength(config) : 0,
    isVisionFixed: freezeVisionTower || (adapter !== null && !adaptsVision(adapter.spec, config)),
  };
  const ignored = ignoredOverrides(config, overrides, read);
  return { ...model, notes: notesOf(model, ignored, freezeVisionTower) };
}

function newAdapter(
  system: ActorSystem,
  { freezeVisionTower, learners, seed }: ModelSettings,
  { rank, alpha, targetModules, excludeModules: exclude }: NonNullable<ModelSettings['lora']>,
  { config: model }: LoadedCheckpoint,
): Adapter {
  const targets = targetsOf(targetModules);
  const selected = freezeVisionTower ? { ...model, vision: null } : model;
  const spec = adapterSpec(selected, { rank, alpha, targets, exclude });
  const layout = dividedInto(adapterLayout(model, spec), learners);
  const sizeBytes = layout.length * Float32Array.BYTES_PER_ELEMENT;
  const marker = weightsMarker(adapterBlock(sizeBytes), sizeBytes);
  const adapter = { spec, arena: new Arena(layout, system.blocks.get(marker)) };
  initializeAdapter(adapter, seed);
  return adapter;
}

/** Notes on a model that is trained. @param ignored keys of `override_config` that change nothing */
function notesOf(
  { arena, adapter, frozenLength, config, notes: found }: LoadedModel,
  ignored: readonly string[],
  freezeVisionTower: boolean,
): string[] {
  const notes = [...found];
  if (ignored.length > 0) notes.push(`override_config: no effect here: ${ignored.join(', ')}`);
  if (freezeVisionTower) {
    notes.push(
      config.vision === null
        ? 'freeze_vision_tower: the model has no vision tower'
        : 'the vision tower is frozen',
    );
  }
  const trained = adapter?.arena ?? arena.from(frozenLength);
  if (trained !== arena) {
    const [some, all] = [trained, arena].map((one) => parameterCount(one.layout));
    const what = adapter === null ? '' : `, in adapters of ${adapter.spec.modules.length} modules`;
    notes.push(
      `${some!.toLocaleString('en')} parameters are trained, ${all!.toLocaleString('en')} given${what}`,
    );
  }
  return notes;
}
