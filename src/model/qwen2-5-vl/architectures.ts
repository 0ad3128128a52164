import type { Architecture } from '../architecture.ts';
import { textFormat } from '../decoder/config.ts';
import { textWeightNames } from '../decoder/weight-names.ts';
import { promptPositions } from '../position-ids.ts';
import { patchEmbedGraph } from '../vision/patch-embed.ts';
import { qwen2Traits, visionFormat } from './config.ts';
import { visionPlan } from './vision-plan.ts';
import { mergerGraph, visionBlockGraph } from './vision.ts';
import { weightNames } from './weight-names.ts';

const QWEN2 = 'Qwen2ForCausalLM';
const QWEN2_5_VL = 'Qwen2_5_VLForConditionalGeneration';

/** The text model: Qwen2 and Qwen2.5. */
export const qwen2: Architecture = {
  name: QWEN2,
  valueName: 'Qwen2ForTokenClassification',
  config: textFormat(QWEN2, qwen2Traits),
  weights: textWeightNames,
  vision: null,
  frames: 'joined',
  positions: promptPositions,
};

/** The same decoder behind a vision tower: Qwen2.5-VL. */
export const qwen25Vl: Architecture = {
  ...qwen2,
  name: QWEN2_5_VL,
  // transformers has no token classifier of a vision-language model; this name follows its pattern.
  valueName: 'Qwen2_5_VLForTokenClassification',
  config: visionFormat(QWEN2_5_VL),
  weights: weightNames,
  vision: {
    patchEmbed: patchEmbedGraph,
    block: visionBlockGraph,
    merger: mergerGraph,
    plan: visionPlan,
  },
};
