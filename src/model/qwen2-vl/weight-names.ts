import type { WeightNames } from '../architecture.ts';
import type { VisionConfig } from '../model-config.ts';
import { patchSizeOf } from '../vision/patch-embed.ts';
import {
  blockInputs,
  blockProducts,
  mergerInputs,
  mergerProducts,
  type TowerNames,
} from '../vision/tower-weights.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';
import { moduleNames } from '../weights/modules.ts';
import { one, plain, prefixed, type NamedModule } from '../weights/naming.ts';

/** The modules of Qwen2-VL's tower. */
export const towerNames: TowerNames = {
  fc1: 'mlp.fc1',
  fc2: 'mlp.fc2',
  mergerNorm: 'ln_q',
  mergerFc1: 'mlp.0',
  mergerFc2: 'mlp.2',
};

function visionModules(vision: VisionConfig): NamedModule[] {
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize } = vision;
  const patches = [width, inChannels, temporalPatchSize, patchSize, patchSize];
  const weight = {
    ...one('visual.patch_embed.proj.weight', ...patches),
    shape: [width, patchSizeOf(vision)],
  };
  const block = (i: number): NamedModule => [
    moduleNames.visionBlock(i),
    prefixed(
      `visual.blocks.${i}`,
      blockInputs(towerNames, vision),
      blockProducts(towerNames, vision),
    ),
  ];
  const merger = prefixed(
    'visual.merger',
    mergerInputs(towerNames, vision, 'before'),
    mergerProducts(towerNames, vision),
  );
  return [
    [moduleNames.patchEmbed, plain({ weight })],
    ...Array.from({ length: vision.depth }, (_, i) => block(i)),
    [moduleNames.merger, merger],
  ];
}

/** The names of Qwen2-VL's parameters on the hub. */
export const weightNames: WeightNames = visionLanguageNames(visionModules);
