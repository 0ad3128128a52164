import { weightNamesOf } from '../decoder/weight-names.ts';
import type { VisionConfig } from '../model-config.ts';
import {
  blockForm,
  mergerForm,
  towerModules,
  type MergerNorm,
  type TowerNames,
} from '../vision/tower-weights.ts';
import { moduleNames } from '../weights/modules.ts';
import { one, prefixed, type NamedModule } from '../weights/naming.ts';

/** The modules of Qwen3-VL's tower. */
export const towerNames: TowerNames = {
  fc1: 'mlp.linear_fc1',
  fc2: 'mlp.linear_fc2',
  mergerNorm: 'norm',
  mergerFc1: 'linear_fc1',
  mergerFc2: 'linear_fc2',
};

const VISUAL = 'model.visual';

function visionModules(vision: VisionConfig): NamedModule[] {
  const merger = (norm: MergerNorm) => mergerForm(towerNames, vision, norm);
  const embedded = {
    bias: one(`${VISUAL}.patch_embed.proj.bias`, vision.hiddenSize),
    positions: one(`${VISUAL}.pos_embed.weight`, vision.positionGrid! ** 2, vision.hiddenSize),
  };
  const { inputs, products } = merger('behind');
  return [
    ...towerModules(vision, VISUAL, blockForm(towerNames, vision), merger('before'), embedded),
    ...vision.deepstackBlocks.map((_, i): NamedModule => [
      moduleNames.deepstack(i),
      prefixed(`${VISUAL}.deepstack_merger_list.${i}`, inputs, Object.values(products)),
    ]),
  ];
}

/** The names of Qwen3-VL's parameters, the same on the hub and in transformers. */
export const weightNames = weightNamesOf({ prefix: 'model.language_model', visionModules });
