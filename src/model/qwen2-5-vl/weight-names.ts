import type { HeadKind, WeightNames } from '../architecture.ts';
import {
  productOf,
  type BlockInput,
  type ModelBlocks,
  type ParameterBlock,
} from '../weights/model-blocks.ts';
import type { ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';
import type { Product } from '../weights/products.ts';

/** The token embedding, which a tied head is too. */
const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const FINAL_NORM = 'model.norm.weight';
/** A value model's head, as transformers names a token classifier's. */
const SCORE = { weight: 'score.weight', bias: 'score.bias' };

/** Values in one flattened patch: channels x frames x height x width. */
export function patchSizeOf(config: VisionConfig): number {
  return config.inChannels * config.temporalPatchSize * config.patchSize * config.patchSize;
}

/** One parameter. */
const one = (name: string, ...shape: readonly number[]): BlockInput => ({
  parameters: [{ name, shape }],
});

/** The weights or biases of modules, joined; `outs` are the widths of their outputs, `inner` what goes in. */
const joined = (outs: Readonly<Record<string, number>>, ...inner: [] | [number]): BlockInput => ({
  parameters: Object.entries(outs).map(([module, out]) => ({
    name: `${module}.${inner.length === 0 ? 'bias' : 'weight'}`,
    shape: [out, ...inner],
  })),
});

/** The parameters of a decoder layer, which the names follow. */
function layerInputs(text: TextConfig) {
  const { hiddenSize: width, intermediateSize: inner, heads, kvHeads, headDim } = text;
  const qkv = {
    'self_attn.q_proj': heads * headDim,
    'self_attn.k_proj': kvHeads * headDim,
    'self_attn.v_proj': kvHeads * headDim,
  };
  return {
    inputNorm: one('input_layernorm.weight', width),
    qkvWeight: joined(qkv, width),
    qkvBias: joined(qkv),
    outputWeight: one('self_attn.o_proj.weight', width, heads * headDim),
    postNorm: one('post_attention_layernorm.weight', width),
    gateWeight: one('mlp.gate_proj.weight', inner, width),
    upWeight: one('mlp.up_proj.weight', inner, width),
    downWeight: one('mlp.down_proj.weight', width, inner),
  };
}

/** The products of a decoder layer. */
export function layerProducts(text: TextConfig) {
  const { qkvWeight, outputWeight, gateWeight, upWeight, downWeight } = layerInputs(text);
  return {
    qkv: productOf('qkv', qkvWeight),
    output: productOf('output', outputWeight),
    gate: productOf('gate', gateWeight),
    up: productOf('up', upWeight),
    down: productOf('down', downWeight),
  };
}

function visionBlockInputs({ hiddenSize: width, intermediateSize: inner }: VisionConfig) {
  const gateUp = { 'mlp.gate_proj': inner, 'mlp.up_proj': inner };
  return {
    norm1: one('norm1.weight', width),
    qkvWeight: one('attn.qkv.weight', 3 * width, width),
    qkvBias: one('attn.qkv.bias', 3 * width),
    projWeight: one('attn.proj.weight', width, width),
    projBias: one('attn.proj.bias', width),
    norm2: one('norm2.weight', width),
    gateUpWeight: joined(gateUp, width),
    gateUpBias: joined(gateUp),
    downWeight: one('mlp.down_proj.weight', width, inner),
    downBias: one('mlp.down_proj.bias', width),
  };
}

/** The products of a vision block. */
export function visionBlockProducts(vision: VisionConfig) {
  const { qkvWeight, projWeight, gateUpWeight, downWeight } = visionBlockInputs(vision);
  return {
    qkv: productOf('qkv', qkvWeight),
    proj: productOf('proj', projWeight),
    gateUp: productOf('gateUp', gateUpWeight),
    down: productOf('down', downWeight),
  };
}

function mergerInputs({ hiddenSize: width, mergeSize, outHiddenSize }: VisionConfig) {
  const merged = width * mergeSize ** 2;
  return {
    norm: one('ln_q.weight', width),
    fc1Weight: one('mlp.0.weight', merged, merged),
    fc1Bias: one('mlp.0.bias', merged),
    fc2Weight: one('mlp.2.weight', outHiddenSize, merged),
    fc2Bias: one('mlp.2.bias', outHiddenSize),
  };
}

/** The products of the patch merger. */
export function mergerProducts(vision: VisionConfig) {
  const { fc1Weight, fc2Weight } = mergerInputs(vision);
  return { fc1: productOf('fc1', fc1Weight), fc2: productOf('fc2', fc2Weight) };
}

/** A block whose names follow a prefix and a dot. */
function block(
  prefix: string,
  inputs: ParameterBlock['inputs'],
  products: Readonly<Record<string, Product>>,
): ParameterBlock {
  const whole = ({ parameters, ...others }: BlockInput): BlockInput => ({
    ...others,
    parameters: parameters.map(({ name, shape }) => ({ name: `${prefix}.${name}`, shape })),
  });
  const named = Object.entries(inputs).map(([input, own]) => [input, whole(own)] as const);
  return { prefix, products: Object.values(products), inputs: Object.fromEntries(named) };
}

/** A block of parameters with whole names, none of which has adapters. */
const plain = (inputs: ParameterBlock['inputs']): ParameterBlock => ({
  prefix: '',
  products: [],
  inputs,
});

function visionParts(
  vision: VisionConfig | null,
): Pick<ModelBlocks, 'patchEmbed' | 'visionBlocks' | 'merger'> {
  if (vision === null) return { patchEmbed: null, visionBlocks: [], merger: null };
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize } = vision;
  const patches = [width, inChannels, temporalPatchSize, patchSize, patchSize];
  const weight = {
    ...one('visual.patch_embed.proj.weight', ...patches),
    shape: [width, patchSizeOf(vision)],
  };
  return {
    patchEmbed: plain({ weight }),
    visionBlocks: Array.from({ length: vision.depth }, (_, i) =>
      block(`visual.blocks.${i}`, visionBlockInputs(vision), visionBlockProducts(vision)),
    ),
    merger: block('visual.merger', mergerInputs(vision), mergerProducts(vision)),
  };
}

function headBlock({ text }: ModelConfig, kind: HeadKind): ParameterBlock {
  const { hiddenSize: width, vocabSize, tieWordEmbeddings } = text;
  const finalNorm = one(FINAL_NORM, width);
  if (kind === 'value') {
    const [scoreWeight, scoreBias] = [one(SCORE.weight, 1, width), one(SCORE.bias, 1)];
    return plain({ finalNorm, scoreWeight, scoreBias });
  }
  const headWeight = one(tieWordEmbeddings ? EMBEDDING : HEAD, vocabSize, width);
  return plain({ finalNorm, headWeight });
}

/** The names of Qwen2.5-VL's and Qwen2's parameters on the hub. */
export const weightNames: WeightNames = {
  embedding: EMBEDDING,
  head: HEAD,
  scoreWeight: SCORE.weight,
  scoreBias: SCORE.bias,
  vision: 'visual',

  blocks(config, head) {
    const { text, vision } = config;
    return {
      ...visionParts(vision),
      embedding: plain({ weight: one(EMBEDDING, text.vocabSize, text.hiddenSize) }),
      layers: Array.from({ length: text.layers }, (_, i) =>
        block(`model.layers.${i}`, layerInputs(text), layerProducts(text)),
      ),
      head: headBlock(config, head),
    };
  },

  // transformers 5 has `model.visual.*` and `model.language_model.*` where the hub has `visual.*` and `model.*`; a
  // tied head that was stored all the same is the embedding.
  ofStored(stored, { text }) {
    if (text.tieWordEmbeddings && stored === HEAD) return EMBEDDING;
    return stored
      .replace(/^model\.visual\./, 'visual.')
      .replace(/^model\.language_model\./, 'model.');
  },

  inTransformers(name, { vision }) {
    if (vision === null) return name;
    return name.startsWith('visual.')
      ? `model.${name}`
      : name.replace(/^model\./, 'model.language_model.');
  },
};
