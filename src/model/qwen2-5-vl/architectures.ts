import type { Architecture } from '../architecture.ts';
import { textFamily } from '../decoder/family.ts';
import { patchEmbedGraph } from '../vision/patch-embed.ts';
import { visionPlan } from '../vision/plan.ts';
import { format, qwen2Traits } from './config.ts';
import { mergerGraph, visionBlockGraph } from './vision.ts';
import { weightNames } from './weight-names.ts';

/** The text model: Qwen2 and Qwen2.5. */
export const qwen2 = textFamily('Qwen2ForCausalLM', qwen2Traits);

/** The same decoder behind a vision tower: Qwen2.5-VL. */
export const qwen25Vl: Architecture = {
  ...qwen2,
  name: 'Qwen2_5_VLForConditionalGeneration',
  config: format,
  weights: weightNames,
  vision: {
    patchEmbed: patchEmbedGraph,
    block: visionBlockGraph,
    merger: mergerGraph,
    plan: visionPlan,
  },
};
