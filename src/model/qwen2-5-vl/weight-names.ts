import type { HeadKind, WeightNames } from '../architecture.ts';
import type { ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';
import {
  moduleNames,
  productOf,
  type Module,
  type Product,
  type WeightInput,
} from '../weights/modules.ts';

/** Name of the token embedding, and of a tied head. */
const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';
const FINAL_NORM = 'model.norm.weight';
/** Names of a value model's head, as of transformers' token classifiers. */
const SCORE = { weight: 'score.weight', bias: 'score.bias' };

/** Number of values in a flattened patch: channels · frames · height · width. */
export function patchSizeOf(config: VisionConfig): number {
  return config.inChannels * config.temporalPatchSize * config.patchSize * config.patchSize;
}

/** An input of one parameter. */
const one = (name: string, ...shape: readonly number[]): WeightInput => ({
  parameters: [{ name, shape }],
});

/**
 * An input of several modules' weights or biases; `outs` are the widths of their outputs, `inner` that of the input.
 */
const joined = (outs: Readonly<Record<string, number>>, ...inner: [] | [number]): WeightInput => ({
  parameters: Object.entries(outs).map(([module, out]) => ({
    name: `${module}.${inner.length === 0 ? 'bias' : 'weight'}`,
    shape: [out, ...inner],
  })),
});

/** The parameters of a decoder layer, named without its prefix. */
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

/** A module whose names follow a prefix and a dot. */
function prefixed(
  prefix: string,
  inputs: Module['inputs'],
  products: Readonly<Record<string, Product>>,
): Module {
  const whole = ({ parameters, ...others }: WeightInput): WeightInput => ({
    ...others,
    parameters: parameters.map(({ name, shape }) => ({ name: `${prefix}.${name}`, shape })),
  });
  const named = Object.entries(inputs).map(([input, own]) => [input, whole(own)] as const);
  return { prefix, products: Object.values(products), inputs: Object.fromEntries(named) };
}

/** A module of parameters with whole names, without products that may have adapters. */
const plain = (inputs: Module['inputs']): Module => ({
  prefix: '',
  products: [],
  inputs,
});

type NamedModule = readonly [name: string, module: Module];

function visionModules(vision: VisionConfig): NamedModule[] {
  const { hiddenSize: width, inChannels, temporalPatchSize, patchSize } = vision;
  const patches = [width, inChannels, temporalPatchSize, patchSize, patchSize];
  const weight = {
    ...one('visual.patch_embed.proj.weight', ...patches),
    shape: [width, patchSizeOf(vision)],
  };
  const block = (i: number): NamedModule => [
    moduleNames.visionBlock(i),
    prefixed(`visual.blocks.${i}`, visionBlockInputs(vision), visionBlockProducts(vision)),
  ];
  return [
    [moduleNames.patchEmbed, plain({ weight })],
    ...Array.from({ length: vision.depth }, (_, i) => block(i)),
    [moduleNames.merger, prefixed('visual.merger', mergerInputs(vision), mergerProducts(vision))],
  ];
}

function headModule({ text }: ModelConfig, kind: HeadKind): Module {
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

  modules(config, head) {
    const { text, vision } = config;
    const layer = (i: number): NamedModule => [
      moduleNames.layer(i),
      prefixed(`model.layers.${i}`, layerInputs(text), layerProducts(text)),
    ];
    const embedding = one(EMBEDDING, text.vocabSize, text.hiddenSize);
    return new Map<string, Module>([
      ...(vision === null ? [] : visionModules(vision)),
      [moduleNames.embedding, plain({ weight: embedding })],
      ...Array.from({ length: text.layers }, (_, i) => layer(i)),
      [moduleNames.head, headModule(config, head)],
    ]);
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
