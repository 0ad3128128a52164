/** The sizes of a run's models, from their `config.json` alone. */
import { adapterSpec, targetsOf } from '../model/adapters/selection.ts';
import { adapterLayout, adaptsVision } from '../model/adapters/model-adapters.ts';
import type { AdapterSpec } from '../model/adapters/adapter.ts';
import type { HeadKind } from '../model/architecture.ts';
import { readModelConfig } from '../model/checkpoint/config-file.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { parameterGroups, visionLength } from '../model/parameters.ts';
import { dividedInto, layOut, type ArenaLayout } from '../model/weights/arena-layout.ts';
import type { ModelSizes } from './kept.ts';
import type { PlannedModel } from './settings.ts';

/** A model without weights: its sizes, the order of its parameters, and what of it is trained. */
export interface SizedModel extends ModelSizes {
  readonly config: ModelConfig;
  readonly head: HeadKind;
  readonly layout: ArenaLayout;
  readonly adapter: { readonly spec: AdapterSpec; readonly layout: ArenaLayout } | null;
  readonly isVisionFixed: boolean;
}

/**
 * The sizes of a model, laid out as the trainer loads it.
 *
 * @throws CHECKPOINT_INVALID naming `config.json` and the fields that are missing or wrong; CONFIG_INVALID for adapters
 *   of no module
 */
export async function sizedModel(model: PlannedModel, head: HeadKind): Promise<SizedModel> {
  return sizedBy(await readModelConfig(model.path, model.overrides), model, head);
}

/** The sizes of a model whose `config.json` is read. */
export function sizedBy(
  config: ModelConfig,
  {
    lora,
    freezeVisionTower,
    learners,
  }: Pick<PlannedModel, 'lora' | 'freezeVisionTower' | 'learners'>,
  head: HeadKind,
): SizedModel {
  const plain = layOut(parameterGroups(config, head));
  const frozenLength = freezeVisionTower && lora === null ? visionLength(config) : 0;
  const layout = lora === null ? dividedInto(plain, learners, frozenLength) : plain;
  if (lora === null) {
    return { config, head, layout, adapter: null, frozenLength, isVisionFixed: freezeVisionTower };
  }
  const { rank, alpha, targetModules, excludeModules: exclude } = lora;
  const selected = freezeVisionTower ? { ...config, vision: null } : config;
  const spec = adapterSpec(selected, { rank, alpha, targets: targetsOf(targetModules), exclude });
  const adapter = { spec, layout: dividedInto(adapterLayout(config, spec), learners) };
  const isVisionFixed = freezeVisionTower || !adaptsVision(spec, config);
  return { config, head, layout, adapter, frozenLength, isVisionFixed };
}
