/** The mixture of experts in a `config.json`. */
import * as t from 'io-ts';
import { index, nullable, size, type Checks } from '../config-fields.ts';
import type { ExpertsConfig } from '../model-config.ts';

/** Codec of the keys of a mixture of experts. */
export const Experts = t.partial({
  num_experts: index,
  // Transformers 5 writes this name.
  num_local_experts: index,
  num_experts_per_tok: size,
  moe_intermediate_size: size,
  norm_topk_prob: t.boolean,
  decoder_sparse_step: size,
  mlp_only_layers: nullable(t.array(index)),
});
type Experts = t.TypeOf<typeof Experts>;

/** Keys of transformers' mixtures of experts that say how many there are. */
const countKeys = ['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts'];

/** Finds the key that tells the number of experts; undefined in a config without experts. */
export function expertKey(section: Readonly<Record<string, unknown>>): string | undefined {
  return countKeys.find((key) => typeof section[key] === 'number' && section[key] > 1);
}

/** The traits of a family's experts, and the defaults of their sizes. */
export interface ExpertTraits extends Pick<
  ExpertsConfig,
  'isStacked' | 'count' | 'perToken' | 'intermediateSize'
> {
  /** Null where the file says it. */
  readonly isRenormed: true | null;
}

/** The experts of a decoder's layers, null where no layer has any. What is wrong goes to `checks`. */
export function expertsConfig(
  section: Experts,
  traits: ExpertTraits,
  layers: number,
  checks: Checks,
): ExpertsConfig | null {
  const count = section.num_experts ?? section.num_local_experts ?? traits.count;
  const perToken = section.num_experts_per_tok ?? traits.perToken;
  const { decoder_sparse_step: step = 1, mlp_only_layers: named } = section;
  if (count === 0) return null;
  checks.that(
    perToken <= count,
    `num_experts_per_tok ${perToken} is more than num_experts ${count}`,
  );
  const isDense = (layer: number): boolean =>
    (named ?? []).includes(layer) || (layer + 1) % step !== 0;
  const denseLayers = Array.from({ length: layers }, (_, layer) => layer).filter(isDense);
  if (denseLayers.length === layers) return null;
  return {
    isStacked: traits.isStacked,
    count,
    perToken,
    intermediateSize: section.moe_intermediate_size ?? traits.intermediateSize,
    isRenormed: traits.isRenormed ?? section.norm_topk_prob ?? false,
    denseLayers,
  };
}
