/** The modules of vision towers, whose families differ in a few traits and in the names of linear modules. */
import type { VisionConfig } from '../model-config.ts';
import {
  biasOf,
  moduleNames,
  productOf,
  weightInput,
  weightOf,
  type Module,
  type Product,
} from '../weights/modules.ts';
import { parameter, prefixed, unprefixed, type NamedModule } from '../weights/naming.ts';
import { patchSizeOf } from './patch-embed.ts';

/** The differences between the towers of families, besides their sizes; names are the hub's. */
export interface TowerTraits {
  /** Norm before attention, MLPs and mergers; an RMS norm has no bias. */
  readonly norm: 'layerNorm' | 'rmsNorm';
  /** The linear modules of a block's MLP before its activation: one, or the gate and what it multiplies. */
  readonly fc1: readonly [string] | readonly [gate: string, up: string];
  /** The linear module after the activation. */
  readonly fc2: string;
  /** The norm and the linear modules of a merger. */
  readonly mergerNorm: string;
  readonly mergerFc1: string;
  readonly mergerFc2: string;
}

type Inputs = Module['inputs'];

/**
 * The modules of a tower in arena order: patch embedding, blocks, merger, and the mergers after `deepstackBlocks`.
 *
 * @param root name of the tower on the hub
 */
export function towerModules(
  traits: TowerTraits,
  vision: VisionConfig,
  root: string,
): NamedModule[] {
  const blockInputs = inputsOfBlock(traits, vision);
  const blocks = Array.from({ length: vision.depth }, (_, i): NamedModule => [
    moduleNames.visionBlock(i),
    prefixed(`${root}.blocks.${i}`, blockInputs, Object.values(blockProducts(traits, vision))),
  ]);
  const merger = (name: string, norm: MergerNorm): Module =>
    prefixed(
      `${root}.${name}`,
      inputsOfMerger(traits, vision, norm),
      Object.values(mergerProducts(traits, vision)),
    );
  return [
    [moduleNames.patchEmbed, unprefixed(inputsOfPatchEmbed(vision, root))],
    ...blocks,
    [moduleNames.merger, merger('merger', 'before')],
    ...vision.deepstackBlocks.map((_, i): NamedModule => [
      moduleNames.deepstack(i),
      merger(`deepstack_merger_list.${i}`, 'after'),
    ]),
  ];
}

function inputsOfPatchEmbed(vision: VisionConfig, root: string): Inputs {
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize, positionGrid } = vision;
  const name = `${root}.patch_embed.proj`;
  const stored = parameter(
    `${name}.weight`,
    width,
    inChannels,
    temporalPatchSize,
    patchSize,
    patchSize,
  );
  const weight = { ...stored, shape: [width, patchSizeOf(vision)] };
  if (positionGrid === null) return { weight };
  return {
    weight,
    bias: parameter(`${name}.bias`, width),
    positions: parameter(`${root}.pos_embed.weight`, positionGrid ** 2, width),
  };
}

function inputsOfBlock(traits: TowerTraits, vision: VisionConfig): Inputs {
  const { qkv, proj, fc1, fc2 } = blockProducts(traits, vision);
  return {
    ...inputsOfNorm(traits, 'norm1', 'norm1', vision.hiddenSize),
    ...inputsOfAffine(qkv),
    ...inputsOfAffine(proj),
    ...inputsOfNorm(traits, 'norm2', 'norm2', vision.hiddenSize),
    ...inputsOfAffine(fc1),
    ...inputsOfAffine(fc2),
  };
}

/** The products of a block. */
export function blockProducts({ fc1, fc2 }: TowerTraits, vision: VisionConfig) {
  const { hiddenSize: width, intermediateSize: inner } = vision;
  return {
    qkv: productOf('qkv', width, { 'attn.qkv': 3 * width }),
    proj: productOf('proj', width, { 'attn.proj': width }),
    fc1: productOf('fc1', width, Object.fromEntries(fc1.map((name) => [name, inner]))),
    fc2: productOf('fc2', inner, { [fc2]: width }),
  };
}

/** Place of a merger's norm: before the rows of a square are joined to one, or after. */
export type MergerNorm = 'before' | 'after';

/** Width of a merger's norm. */
export function mergerNormWidth({ hiddenSize, mergeSize }: VisionConfig, norm: MergerNorm): number {
  return norm === 'before' ? hiddenSize : hiddenSize * mergeSize ** 2;
}

function inputsOfMerger(traits: TowerTraits, vision: VisionConfig, norm: MergerNorm): Inputs {
  const { fc1, fc2 } = mergerProducts(traits, vision);
  return {
    ...inputsOfNorm(traits, 'norm', traits.mergerNorm, mergerNormWidth(vision, norm)),
    ...inputsOfAffine(fc1),
    ...inputsOfAffine(fc2),
  };
}

/** The products of a merger. */
export function mergerProducts({ mergerFc1, mergerFc2 }: TowerTraits, vision: VisionConfig) {
  const merged = vision.hiddenSize * vision.mergeSize ** 2;
  return {
    fc1: productOf('fc1', merged, { [mergerFc1]: merged }),
    fc2: productOf('fc2', merged, { [mergerFc2]: vision.outHiddenSize }),
  };
}

/** The inputs of a norm, such as `norm1Weight` and `norm1Bias`. */
function inputsOfNorm({ norm }: TowerTraits, input: string, name: string, width: number): Inputs {
  const weight = { [`${input}Weight`]: parameter(`${name}.weight`, width) };
  return norm === 'rmsNorm'
    ? weight
    : { ...weight, [`${input}Bias`]: parameter(`${name}.bias`, width) };
}

/** The inputs of a product and its bias, such as `qkvWeight` and `qkvBias`. */
function inputsOfAffine(product: Product): Inputs {
  return { [weightInput(product)]: weightOf(product), [`${product.name}Bias`]: biasOf(product) };
}
