/**
 * The names of a decoder's parameters on the hub, as Llama gave them. Qwen's families keep them, below a prefix of
 * their own where there is a vision tower.
 */
import type { HeadKind, WeightNames } from '../architecture.ts';
import type { ModelConfig, TextConfig } from '../model-config.ts';
import { moduleNames, productOf, type Module } from '../weights/modules.ts';
import { joined, one, plain, prefixed, type NamedModule } from '../weights/naming.ts';

/** Names of a value model's head, as of transformers' token classifiers. */
const SCORE = { weight: 'score.weight', bias: 'score.bias' };

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
    ...(text.qkvBias && { qkvBias: joined(qkv) }),
    ...(text.qkNorm && {
      queryNorm: one('self_attn.q_norm.weight', headDim),
      keyNorm: one('self_attn.k_norm.weight', headDim),
    }),
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

/** Names of the parameters outside the layers; `prefix` begins those of the decoder. */
export function namesOutsideLayers(prefix = 'model') {
  return {
    embedding: `${prefix}.embed_tokens.weight`,
    finalNorm: `${prefix}.norm.weight`,
    head: 'lm_head.weight',
    scoreWeight: SCORE.weight,
    scoreBias: SCORE.bias,
  };
}

/** The modules of a decoder with a head, in arena order. */
export function decoderModules(
  { text }: ModelConfig,
  kind: HeadKind,
  prefix = 'model',
): NamedModule[] {
  const { embedding } = namesOutsideLayers(prefix);
  const layer = (i: number): NamedModule => [
    moduleNames.layer(i),
    prefixed(`${prefix}.layers.${i}`, layerInputs(text), layerProducts(text)),
  ];
  return [
    [moduleNames.embedding, plain({ weight: one(embedding, text.vocabSize, text.hiddenSize) })],
    ...Array.from({ length: text.layers }, (_, i) => layer(i)),
    [moduleNames.head, headModule(text, kind, prefix)],
  ];
}

function headModule(text: TextConfig, kind: HeadKind, prefix: string): Module {
  const { hiddenSize: width, vocabSize, tieWordEmbeddings } = text;
  const names = namesOutsideLayers(prefix);
  const finalNorm = one(names.finalNorm, width);
  if (kind === 'value') {
    const [scoreWeight, scoreBias] = [one(SCORE.weight, 1, width), one(SCORE.bias, 1)];
    return plain({ finalNorm, scoreWeight, scoreBias });
  }
  const head = tieWordEmbeddings ? names.embedding : names.head;
  return plain({ finalNorm, headWeight: one(head, vocabSize, width) });
}

const textNames = namesOutsideLayers();

/** The names of a text model's parameters on the hub. */
export const textWeightNames: WeightNames = {
  ...textNames,
  vision: 'visual',
  modules: (config, head) => new Map(decoderModules(config, head)),
  // A tied head that was stored all the same is the embedding.
  ofStored: (stored, { text }) =>
    text.tieWordEmbeddings && stored === textNames.head ? textNames.embedding : stored,
  inTransformers: (name) => name,
};
