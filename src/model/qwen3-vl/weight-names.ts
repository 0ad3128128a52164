import type { WeightNames } from '../architecture.ts';
import { decoderModules, namesOutsideLayers } from '../decoder/weight-names.ts';
import type { VisionConfig } from '../model-config.ts';
import { patchSizeOf } from '../vision/patch-embed.ts';
import {
  blockInputs,
  blockProducts,
  mergerInputs,
  mergerProducts,
  type MergerNorm,
  type TowerNames,
} from '../vision/tower-weights.ts';
import { moduleNames, type Module } from '../weights/modules.ts';
import { one, plain, prefixed, type NamedModule } from '../weights/naming.ts';

/** The modules of Qwen3-VL's tower. */
export const towerNames: TowerNames = {
  fc1: 'mlp.linear_fc1',
  fc2: 'mlp.linear_fc2',
  mergerNorm: 'norm',
  mergerFc1: 'linear_fc1',
  mergerFc2: 'linear_fc2',
};

const VISUAL = 'model.visual';
const DECODER = 'model.language_model';

function patchEmbedModule(vision: VisionConfig): Module {
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize } = vision;
  const patches = [width, inChannels, temporalPatchSize, patchSize, patchSize];
  return plain({
    weight: {
      ...one(`${VISUAL}.patch_embed.proj.weight`, ...patches),
      shape: [width, patchSizeOf(vision)],
    },
    bias: one(`${VISUAL}.patch_embed.proj.bias`, width),
    positions: one(`${VISUAL}.pos_embed.weight`, vision.positionGrid! ** 2, width),
  });
}

function visionModules(vision: VisionConfig): NamedModule[] {
  const block = (i: number): NamedModule => [
    moduleNames.visionBlock(i),
    prefixed(
      `${VISUAL}.blocks.${i}`,
      blockInputs(towerNames, vision),
      blockProducts(towerNames, vision),
    ),
  ];
  const merger = (name: string, norm: MergerNorm): Module =>
    prefixed(
      `${VISUAL}.${name}`,
      mergerInputs(towerNames, vision, norm),
      mergerProducts(towerNames, vision),
    );
  return [
    [moduleNames.patchEmbed, patchEmbedModule(vision)],
    ...Array.from({ length: vision.depth }, (_, i) => block(i)),
    [moduleNames.merger, merger('merger', 'before')],
    ...vision.deepstackBlocks.map((_, i): NamedModule => [
      moduleNames.deepstack(i),
      merger(`deepstack_merger_list.${i}`, 'behind'),
    ]),
  ];
}

const outside = namesOutsideLayers(DECODER);

/** The names of Qwen3-VL's parameters, the same on the hub and in transformers. */
export const weightNames: WeightNames = {
  ...outside,
  vision: 'visual',
  modules(config, head) {
    const vision = config.vision === null ? [] : visionModules(config.vision);
    return new Map([...vision, ...decoderModules(config, head, DECODER)]);
  },
  // A tied head that was stored all the same is the embedding.
  ofStored: (stored, { text }) =>
    text.tieWordEmbeddings && stored === outside.head ? outside.embedding : stored,
  inTransformers: (name) => name,
};
