import type { WeightNames } from '../architecture.ts';
import type { VisionConfig } from '../model-config.ts';
import { patchSizeOf } from '../vision/patch-embed.ts';
import { visionLanguageNames } from '../vision/weight-names.ts';
import { moduleNames, productOf } from '../weights/modules.ts';
import { joined, one, plain, prefixed, type NamedModule } from '../weights/naming.ts';

function visionBlockInputs({ hiddenSize: width, intermediateSize: inner }: VisionConfig) {
  const gateUp = { 'mlp.gate_proj': inner, 'mlp.up_proj': inner };
  return {
    norm1: one('norm1.weight', width),
    qkvWeight: one('attn.qkv.weight', 3 * width, width),
    qkvBias: one('attn.qkv.bias', 3 * width),
    projWeight: one('attn.proj.weight', width, width),
    projBias: one('attn.proj.bias', width),
    norm2: one('norm2.weight', width),
    gateUpWeight: joined(gateUp, width),
    gateUpBias: joined(gateUp),
    downWeight: one('mlp.down_proj.weight', width, inner),
    downBias: one('mlp.down_proj.bias', width),
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

function mergerInputs({ hiddenSize: width, mergeSize, outHiddenSize }: VisionConfig) {
  const merged = width * mergeSize ** 2;
  return {
    norm: one('ln_q.weight', width),
    fc1Weight: one('mlp.0.weight', merged, merged),
    fc1Bias: one('mlp.0.bias', merged),
    fc2Weight: one('mlp.2.weight', outHiddenSize, merged),
    fc2Bias: one('mlp.2.bias', outHiddenSize),
  };
}

/** The products of the patch merger. */
export function mergerProducts(vision: VisionConfig) {
  const { fc1Weight, fc2Weight } = mergerInputs(vision);
  return { fc1: productOf('fc1', fc1Weight), fc2: productOf('fc2', fc2Weight) };
}

function visionModules(vision: VisionConfig): NamedModule[] {
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize } = vision;
  const patches = [width, inChannels, temporalPatchSize, patchSize, patchSize];
  const weight = {
    ...one('visual.patch_embed.proj.weight', ...patches),
    shape: [width, patchSizeOf(vision)],
  };
  const block = (i: number): NamedModule => [
    moduleNames.visionBlock(i),
    prefixed(`visual.blocks.${i}`, visionBlockInputs(vision), visionBlockProducts(vision)),
  ];
  return [
    [moduleNames.patchEmbed, plain({ weight })],
    ...Array.from({ length: vision.depth }, (_, i) => block(i)),
    [moduleNames.merger, prefixed('visual.merger', mergerInputs(vision), mergerProducts(vision))],
  ];
}

/** The names of Qwen2.5-VL's parameters on the hub. */
export const weightNames: WeightNames = visionLanguageNames(visionModules);
