/**
 * The modules of vision towers, and the parameters of those with LayerNorm and plain MLPs, which Qwen2-VL and Qwen3-VL
 * share. They differ in the names of a few linear modules.
 */
import type { VisionConfig } from '../model-config.ts';
import { moduleNames, productOf, type Module, type Product } from '../weights/modules.ts';
import { one, plain, prefixed, type NamedModule } from '../weights/naming.ts';
import { patchSizeOf } from './patch-embed.ts';

/** Names on the hub that families have different ones for. */
export interface TowerNames {
  /** The linear modules of a block's MLP. */
  readonly fc1: string;
  readonly fc2: string;
  /** The norm and the linear modules of a merger. */
  readonly mergerNorm: string;
  readonly mergerFc1: string;
  readonly mergerFc2: string;
}

/** A module's inputs, their parameters named without its prefix, and its products. */
interface ModuleForm extends Pick<Module, 'inputs'> {
  readonly products: Readonly<Record<string, Product>>;
}

/**
 * The modules of a tower in arena order: patch embedding, blocks, merger.
 *
 * @param root     name of the tower on the hub
 * @param embedded inputs of the patch embedding beside its weight
 */
export function towerModules(
  vision: VisionConfig,
  root: string,
  block: ModuleForm,
  merger: ModuleForm,
  embedded: Module['inputs'] = {},
): NamedModule[] {
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize, depth } = vision;
  const patches = [width, inChannels, temporalPatchSize, patchSize, patchSize];
  const stored = one(`${root}.patch_embed.proj.weight`, ...patches);
  const weight = { ...stored, shape: [width, patchSizeOf(vision)] };
  const blocks = Array.from({ length: depth }, (_, i): NamedModule => [
    moduleNames.visionBlock(i),
    prefixed(`${root}.blocks.${i}`, block.inputs, Object.values(block.products)),
  ]);
  return [
    [moduleNames.patchEmbed, plain({ weight, ...embedded })],
    ...blocks,
    [moduleNames.merger, prefixed(`${root}.merger`, merger.inputs, Object.values(merger.products))],
  ];
}

/** An input for a module's weight and one for its bias, such as `qkvWeight` and `qkvBias`. */
export function affine<N extends string>(
  input: N,
  module: string,
  ...shape: readonly [number, ...number[]]
) {
  return {
    [`${input}Weight`]: one(`${module}.weight`, ...shape),
    [`${input}Bias`]: one(`${module}.bias`, shape[0]),
  } as Readonly<Record<`${N}Weight` | `${N}Bias`, ReturnType<typeof one>>>;
}

/** A block. */
export function blockForm(names: TowerNames, vision: VisionConfig): ModuleForm {
  return { inputs: blockInputs(names, vision), products: blockProducts(names, vision) };
}

function blockInputs(names: TowerNames, vision: VisionConfig) {
  const { hiddenSize: width, intermediateSize: inner } = vision;
  return {
    ...affine('norm1', 'norm1', width),
    ...affine('qkv', 'attn.qkv', 3 * width, width),
    ...affine('proj', 'attn.proj', width, width),
    ...affine('norm2', 'norm2', width),
    ...affine('fc1', names.fc1, inner, width),
    ...affine('fc2', names.fc2, width, inner),
  };
}

/** The products of a block. */
export function blockProducts(names: TowerNames, vision: VisionConfig) {
  const { qkvWeight, projWeight, fc1Weight, fc2Weight } = blockInputs(names, vision);
  return {
    qkv: productOf('qkv', qkvWeight),
    proj: productOf('proj', projWeight),
    fc1: productOf('fc1', fc1Weight),
    fc2: productOf('fc2', fc2Weight),
  };
}

/** Place of a merger's norm: before the rows of a square are joined to one, or behind that. */
export type MergerNorm = 'before' | 'behind';

/** Width of a merger's norm. */
export function mergerNormWidth({ hiddenSize, mergeSize }: VisionConfig, norm: MergerNorm): number {
  return norm === 'before' ? hiddenSize : hiddenSize * mergeSize ** 2;
}

/** A merger. */
export function mergerForm(names: TowerNames, vision: VisionConfig, norm: MergerNorm): ModuleForm {
  return {
    inputs: {
      ...affine('norm', names.mergerNorm, mergerNormWidth(vision, norm)),
      ...mergerLinears(names, vision),
    },
    products: mergerProducts(names, vision),
  };
}

type MergerNames = Pick<TowerNames, 'mergerFc1' | 'mergerFc2'>;

/** The inputs of a merger's linear modules. */
export function mergerLinears({ mergerFc1, mergerFc2 }: MergerNames, vision: VisionConfig) {
  const merged = vision.hiddenSize * vision.mergeSize ** 2;
  return {
    ...affine('fc1', mergerFc1, merged, merged),
    ...affine('fc2', mergerFc2, vision.outHiddenSize, merged),
  };
}

/** The products of a merger. */
export function mergerProducts(names: MergerNames, vision: VisionConfig) {
  const { fc1Weight, fc2Weight } = mergerLinears(names, vision);
  return { fc1: productOf('fc1', fc1Weight), fc2: productOf('fc2', fc2Weight) };
}
