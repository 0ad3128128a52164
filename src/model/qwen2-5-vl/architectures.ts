import type { Architecture, ConfigFormat, DecoderGraphs } from '../architecture.ts';
import { inBothLayouts } from './config-layouts.ts';
import { decodeTextModel, decodeVisionModel, readPaths } from './config.ts';
import { decodeStepGraph } from './decode-step.ts';
import { pagedStepGraph } from './paged-step.ts';
import { decodeAttendGraph, decodeProjectGraph } from './decode.ts';
import { decoderLayerGraph, prefillLayerGraph } from './decoder.ts';
import { promptPositions } from './position-ids.ts';
import { visionPlan } from './vision-plan.ts';
import { mergerGraph, patchEmbedGraph, visionBlockGraph } from './vision.ts';
import { weightNames } from './weight-names.ts';

const decoder: DecoderGraphs = {
  layer: decoderLayerGraph,
  prefillLayer: prefillLayerGraph,
  decodeStep: decodeStepGraph,
  pagedStep: pagedStepGraph,
  decodeProject: decodeProjectGraph,
  decodeAttend: decodeAttendGraph,
};

/** The reader of files with this name in `architectures`. */
function configFormat(name: string, decode: typeof decodeTextModel): ConfigFormat {
  return { decode: (value, file) => decode(name, value, file), readPaths, inBothLayouts };
}

const QWEN2 = 'Qwen2ForCausalLM';
const QWEN2_5_VL = 'Qwen2_5_VLForConditionalGeneration';

/** The text model: Qwen2 and Qwen2.5. */
export const qwen2: Architecture = {
  name: QWEN2,
  valueName: 'Qwen2ForTokenClassification',
  config: configFormat(QWEN2, decodeTextModel),
  weights: weightNames,
  decoder,
  vision: null,
  positions: promptPositions,
};

/** The same decoder behind a vision tower: Qwen2.5-VL. */
export const qwen25Vl: Architecture = {
  ...qwen2,
  name: QWEN2_5_VL,
  // transformers has no token classifier of a vision-language model; this name follows its pattern.
  valueName: 'Qwen2_5_VLForTokenClassification',
  config: configFormat(QWEN2_5_VL, decodeVisionModel),
  vision: {
    patchEmbed: patchEmbedGraph,
    block: visionBlockGraph,
    merger: mergerGraph,
    plan: visionPlan,
  },
};
