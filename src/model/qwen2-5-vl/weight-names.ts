import type { WeightNames } from '../architecture.ts';
import type { VisionConfig } from '../model-config.ts';
import {
  affine,
  mergerLinears,
  mergerProducts as productsOfMerger,
  towerModules,
} from '../vision/tower-weights.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';
import { productOf } from '../weights/modules.ts';
import { joined, one } from '../weights/naming.ts';

const mergerNames = { mergerFc1: 'mlp.0', mergerFc2: 'mlp.2' };

function visionBlockInputs({ hiddenSize: width, intermediateSize: inner }: VisionConfig) {
  const gateUp = { 'mlp.gate_proj': inner, 'mlp.up_proj': inner };
  return {
    norm1: one('norm1.weight', width),
    ...affine('qkv', 'attn.qkv', 3 * width, width),
    ...affine('proj', 'attn.proj', width, width),
    norm2: one('norm2.weight', width),
    gateUpWeight: joined(gateUp, width),
    gateUpBias: joined(gateUp),
    ...affine('down', 'mlp.down_proj', width, inner),
  };
}

/** The products of a vision block. */
export function visionBlockProducts(vision: VisionConfig) {
  const { qkvWeight, projWeight, gateUpWeight, downWeight } = visionBlockInputs(vision);
  return {
    qkv: productOf('qkv', qkvWeight),
    proj: productOf('proj', projWeight),
    gateUp: productOf('gateUp', gateUpWeight),
    down: productOf('down', downWeight),
  };
}

/** The products of the patch merger. */
export const mergerProducts = (vision: VisionConfig) => productsOfMerger(mergerNames, vision);

/** The names of Qwen2.5-VL's parameters on the hub. */
export const weightNames: WeightNames = visionLanguageNames((vision) =>
  towerModules(
    vision,
    'visual',
    { inputs: visionBlockInputs(vision), products: visionBlockProducts(vision) },
    {
      inputs: {
        norm: one('ln_q.weight', vision.hiddenSize),
        ...mergerLinears(mergerNames, vision),
      },
      products: mergerProducts(vision),
    },
  ),
);
