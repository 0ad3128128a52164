import type { Architecture } from '../architecture.ts';
import type { ExpertTraits } from '../decoder/experts-config.ts';
import { framePositions } from '../position-ids.ts';
import { towerGraphs } from '../vision/tower.ts';
import { format } from './config.ts';
import { patchEmbedGraph, plan } from './patch-embed.ts';
import { towerNames, weightNames } from './weight-names.ts';

/** A family of Qwen3's decoders behind a tower. */
function family(name: string, experts: ExpertTraits | null): Architecture {
  return {
    name,
    config: format(experts),
    weights: weightNames,
    vision: { ...towerGraphs(towerNames), patchEmbed: patchEmbedGraph, plan },
    frames: 'apart',
    positions: framePositions,
  };
}

/**
 * Qwen3-VL, the dense models: Qwen3's decoder behind a tower with learned positions, some of whose blocks also reach the
 * decoder's first layers (DeepStack). The frames of a video stand apart in the text, each behind its time.
 *
 * @see Qwen3-VL Technical Report, arXiv:2511.21631, and DeepStack, arXiv:2406.04334
 */
export const qwen3Vl = family('Qwen3VLForConditionalGeneration', null);

/** The same with a mixture of experts, whose weights are stacked. */
export const qwen3VlMoe = family('Qwen3VLMoeForConditionalGeneration', {
  isStacked: true,
  count: 60,
  perToken: 4,
  intermediateSize: 1408,
  isRenormed: true,
});
