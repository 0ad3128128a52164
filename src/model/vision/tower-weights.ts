/**
 * The parameters of a vision tower with LayerNorm and plain MLPs, which Qwen2-VL and Qwen3-VL share. They differ in the
 * names of a few linear modules.
 */
import type { VisionConfig } from '../model-config.ts';
import { productOf } from '../weights/modules.ts';
import { one } from '../weights/naming.ts';

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

/** An input for a module's weight and one for its bias, such as `qkvWeight` and `qkvBias`. */
function affine<N extends string>(
  input: N,
  module: string,
  ...shape: readonly [number, ...number[]]
) {
  return {
    [`${input}Weight`]: one(`${module}.weight`, ...shape),
    [`${input}Bias`]: one(`${module}.bias`, shape[0]),
  } as Readonly<Record<`${N}Weight` | `${N}Bias`, ReturnType<typeof one>>>;
}

/** The parameters of a block, named without its prefix. */
export function blockInputs(names: TowerNames, vision: VisionConfig) {
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

/** The parameters of a merger, named without its prefix. */
export function mergerInputs(names: TowerNames, vision: VisionConfig, norm: MergerNorm) {
  const merged = vision.hiddenSize * vision.mergeSize ** 2;
  return {
    ...affine('norm', names.mergerNorm, mergerNormWidth(vision, norm)),
    ...affine('fc1', names.mergerFc1, merged, merged),
    ...affine('fc2', names.mergerFc2, vision.outHiddenSize, merged),
  };
}

/** The products of a merger. */
export function mergerProducts(names: TowerNames, vision: VisionConfig) {
  const { fc1Weight, fc2Weight } = mergerInputs(names, vision, 'before');
  return { fc1: productOf('fc1', fc1Weight), fc2: productOf('fc2', fc2Weight) };
}
