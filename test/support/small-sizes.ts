import type { ModelConfig, TextConfig, VisionConfig } from '../../src/model/model-config.ts';

/** The sizes of a small text model. A test changes those that it is about. */
export const smallText: TextConfig = {
  hiddenSize: 12,
  layers: 1,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  intermediateSize: 10,
  vocabSize: 11,
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  experts: null,
  ropeScaling: null,
  mropeSection: null,
  mropeLayout: 'sections',
  qkvBias: true,
  qkNorm: false,
  tieWordEmbeddings: false,
};

/** The sizes of a small vision tower, as of Qwen2.5-VL. */
export const smallVision: VisionConfig = {
  depth: 1,
  hiddenSize: 12,
  heads: 3,
  intermediateSize: 10,
  inChannels: 3,
  patchSize: 2,
  temporalPatchSize: 2,
  mergeSize: 2,
  outHiddenSize: 12,
  windows: { size: 8, fullBlocks: [] },
  activation: 'silu',
  positionGrid: null,
  deepstackBlocks: [],
  tokensPerSecond: 2,
};

/** A text model of some sizes. */
export function textModel(
  text: Partial<TextConfig>,
  { name } = { name: 'Qwen2ForCausalLM' },
): ModelConfig {
  const whole = { ...smallText, ...text };
  return { architecture: name, text: whole, vision: null, tokens: null, torchDtype: null };
}
