import { resolve } from 'node:path';
import { learnerCount } from '../../src/config/derive.ts';
import type { DeviceName } from '../../src/device/open.ts';
import { floatDTypeOf } from '../../src/config/precision.ts';
import type { Config } from '../../src/config/schema.ts';
import { initializeAdapter, type Adapter } from '../../src/model/adapters/adapter.ts';
import { adapterLayout, adaptsVision } from '../../src/model/adapters/model-adapters.ts';
import { adapterSpec, targetsOf } from '../../src/model/adapters/selection.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { dividedInto, parameterCount } from '../../src/model/weights/arena-layout.ts';
import { loadCheckpoint, type LoadedCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import { roundTo } from '../../src/tensor/half.ts';
import { ignoredOverrides } from '../../src/model/checkpoint/config-file.ts';
import type { ConfigOverrides } from '../../src/model/checkpoint/config-overrides.ts';
import { visionLength } from '../../src/model/parameters.ts';
import type { ModelProps } from '../model-props.ts';
import { devicesOf } from './device.ts';
import type { SharedMarker, WithSharedBlocks } from '../runtime/shared-blocks.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { adapterBlock, type PolicyWeights } from '../weights/policy-weights.ts';
import { weightsMarker, type WeightSync } from '../weights/sync.ts';

/** What of a model's section of the config says where and in what it computes, and where its weights are meanwhile. */
type Placing = Pick<Config['worker']['ref'], 'fsdp' | 'offload'>;

/** The policy in the memory that the actors of this process share, and what of it is trained. */
export interface LoadedPolicy extends LoadedCheckpoint {
  /** Trained instead of the weights; null where they are. */
  readonly adapter: Adapter | null;
  /** Elements at the beginning of the weights that are not trained: those of a frozen vision tower. */
  readonly frozenLength: number;
  /** That the vision tower is as it is for good: what it makes of images need not be computed again. */
  readonly isVisionFixed: boolean;
  /** Where programs compute, each actor's on one of them. */
  readonly devices: readonly DeviceName[];
  /** What they compute in, on a copy of the weights unless it is their own f32 on the processor. */
  readonly computeDType: FloatDType;
  /** Whether the weights are elsewhere than where programs compute while these do not need them. */
  readonly isOffloaded: boolean;
  /** Keys laid over the checkpoint's config. */
  readonly overrides: ConfigOverrides;
  /** What its user should hear of it. */
  readonly notes: readonly string[];
}

/** Loads the policy, what is trained of it divided among the learners. */
export async function loadPolicy(system: ActorSystem, config: Config): Promise<LoadedPolicy> {
  const { model, fsdp } = config.worker.actor;
  const { freezeVisionTower, lora, overrideConfig: overrides } = model;
  const isAdapted = lora.rank > 0;
  const parts = learnerCount(config);
  const checkpoint = await loadCheckpoint(modelPathOf(config), {
    parts: isAdapted ? 1 : parts,
    memory: (sizeBytes) => system.blocks.get(modelMarker('policy', sizeBytes, config)),
    freezeVisionTower,
    overrides,
    signal: system.starting,
  });
  const adapter = isAdapted ? newAdapter(system, config, checkpoint, parts) : null;
  // The weights under adapters stay as they came: only what is trained is held in another type.
  roundToStorage(fsdp.torchDtype, (adapter?.arena ?? checkpoint.arena).data);
  letGo(checkpoint.arena.data);
  const frozenLength = freezeVisionTower && !isAdapted ? visionLength(checkpoint.config) : 0;
  const isVisionFixed =
    freezeVisionTower || (adapter !== null && !adaptsVision(adapter.spec, checkpoint.config));
  const policy = {
    ...checkpoint,
    ...computedBy(config, config.worker.actor),
    ...{ adapter, frozenLength, isVisionFixed, overrides },
  };
  const ignored = ignoredOverrides(checkpoint.config, overrides);
  return { ...policy, notes: notesOf(policy, ignored, freezeVisionTower) };
}

/**
 * Where a model computes, and in which dtype: where none is named, in what the device does best.
 *
 * @param usual where the model's section names none
 */
export function computedBy(
  { trainer }: Config,
  { fsdp: { mpParamDtype, enableCpuOffload }, offload }: Placing,
  usual?: FloatDType,
): Pick<LoadedPolicy, 'devices' | 'computeDType' | 'isOffloaded'> {
  const devices = devicesOf(trainer);
  const best = usual ?? (devices[0] === 'cpu' ? 'f32' : 'bf16');
  return {
    devices,
    computeDType: mpParamDtype === null ? best : floatDTypeOf(mpParamDtype),
    isOffloaded: enableCpuOffload || offload.offloadParams,
  };
}

/** The marker of a model's block: in a file where it is offloaded from the very memory that programs compute in. */
export function modelMarker(
  name: 'policy' | 'critic' | 'reference',
  sizeBytes: number,
  config: Config,
): SharedMarker {
  const { actor: policy, critic, ref: reference } = config.worker;
  const { devices, isOffloaded } = computedBy(config, { policy, critic, reference }[name]);
  return weightsMarker(name, sizeBytes, isOffloaded && devices[0] === 'cpu');
}

/** A model as it is handed to an actor that only computes. */
export function modelProps(
  { trainer: { threads } }: Config,
  { config, arena, isVisionFixed }: Omit<LoadedPolicy, 'adapter'>,
  weights: WeightSync,
  device: DeviceName,
): WithSharedBlocks<ModelProps> {
  return {
    config,
    layout: arena.layout,
    ...weights.markers(device),
    isVisionFixed,
    device,
    ...(threads !== null && { threads }),
  };
}

/** A model as it is handed to an actor that may train it, but for its adapters. */
export function trainedProps(
  config: Config,
  model: Omit<LoadedPolicy, 'adapter'>,
  weights: WeightSync,
  device: DeviceName,
): WithSharedBlocks<ModelProps> {
  const { frozenLength } = model;
  return {
    ...modelProps(config, model, weights, device),
    ...(frozenLength > 0 && { frozenLength }),
  };
}

/** The policy as it is handed to an actor. */
export function policyProps(
  config: Config,
  policy: LoadedPolicy,
  { frozen, trained }: PolicyWeights,
  device: DeviceName,
): WithSharedBlocks<ModelProps> {
  const { adapter } = policy;
  return {
    ...trainedProps(config, policy, frozen ?? trained, device),
    ...(adapter !== null && {
      adapter: { spec: adapter.spec, layout: adapter.arena.layout, ...trained.markers(device) },
    }),
  };
}

/** The checkpoint directory that training starts from. */
export function modelPathOf(config: Config): string {
  return resolve(config.worker.actor.model.modelPath ?? '.');
}

/** Rounds values to what `fsdp.torch_dtype` can hold, in place. */
export function roundToStorage(torchDtype: string | null, values: Float32Array): void {
  const storage = floatDTypeOf(torchDtype);
  if (storage !== 'f32') roundTo(storage, values);
}

function newAdapter(
  system: ActorSystem,
  { worker, trainer }: Config,
  { config: model }: LoadedCheckpoint,
  parts: number,
): Adapter {
  const { lora, freezeVisionTower } = worker.actor.model;
  const { rank, alpha } = lora;
  const targets = targetsOf(lora.targetModules);
  const exclude = lora.excludeModules;
  const selected = freezeVisionTower ? { ...model, vision: null } : model;
  const spec = adapterSpec(selected, { rank, alpha, targets, exclude });
  const layout = dividedInto(adapterLayout(model, spec), parts);
  const sizeBytes = layout.length * Float32Array.BYTES_PER_ELEMENT;
  const arena = new Arena(
    layout,
    system.blocks.get(weightsMarker(adapterBlock(sizeBytes), sizeBytes)),
  );
  const adapter = { spec, arena };
  initializeAdapter(adapter, trainer.seed);
  return adapter;
}

/**
 * What the user should hear of a model that is trained.
 *
 * @param ignored keys of `override_config` that change nothing
 */
export function notesOf(
  {
    arena,
    adapter,
    frozenLength,
    config,
    notes: found,
  }: Pick<LoadedPolicy, 'arena' | 'adapter' | 'frozenLength' | 'config' | 'notes'>,
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
