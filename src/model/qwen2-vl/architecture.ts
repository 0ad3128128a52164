import type { Architecture } from '../architecture.ts';
import { promptPositions } from '../position-ids.ts';
import { patchEmbedGraph } from '../vision/patch-embed.ts';
import { visionPlan } from '../vision/plan.ts';
import { towerGraphs } from '../vision/tower.ts';
import { format } from './config.ts';
import { towerNames, weightNames } from './weight-names.ts';

/**
 * Qwen2-VL: Qwen2's decoder behind a tower with LayerNorm, whose blocks all attend to whole frames.
 *
 * @see Qwen2-VL, arXiv:2409.12191
 */
export const qwen2Vl: Architecture = {
  name: 'Qwen2VLForConditionalGeneration',
  config: format,
  weights: weightNames,
  vision: { ...towerGraphs(towerNames), patchEmbed: patchEmbedGraph, plan: visionPlan },
  frames: 'joined',
  positions: promptPositions,
};
