/**
 * The names of a decoder's parameters on the hub, as Llama gave them. Qwen's families keep them, below a prefix of
 * their own where there is a vision tower.
 */
import type { HeadKind, WeightNames } from '../architecture.ts';
import type { ModelConfig, TextConfig } from '../model-config.ts';
import {
  moduleNames,
  productOf,
  type Module,
  type Product,
  type WeightInput,
} from '../weights/modules.ts';
import { decoderLayers } from '../decoder-layers.ts';
import { joined, one, plain, prefixed, type NamedModule } from '../weights/naming.ts';

/** Names of a value model's head, as of transformers' token classifiers. */
const SCORE = { weight: 'score.weight', bias: 'score.bias' };

/** The parts of a gated MLP, whose output is `down(silu(gate(x)) * up(x))`. */
const mlpParts = ['gate', 'up', 'down'] as const;
export type MlpPart = (typeof mlpParts)[number];
type MlpProducts = Readonly<Record<MlpPart, Product>>;

/** The parameters of a decoder layer without its MLP, named without the layer's prefix. */
function attentionInputs(text: TextConfig) {
  const { hiddenSize: width, heads, kvHeads, headDim } = text;
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
  };
}

/** The weights of a gated MLP. */
function mlpWeights(module: string, width: number, inner: number) {
  return {
    gate: one(`${module}.gate_proj.weight`, inner, width),
    up: one(`${module}.up_proj.weight`, inner, width),
    down: one(`${module}.down_proj.weight`, width, inner),
  };
}

/** The weights of each expert of a layer; none in a dense one. */
function expertWeights({ hiddenSize, experts }: TextConfig) {
  const { count, intermediateSize } = experts ?? { count: 0, intermediateSize: 0 };
  return Array.from({ length: count }, (_, expert) =>
    mlpWeights(`mlp.experts.${expert}`, hiddenSize, intermediateSize),
  );
}

/** The input of a layer's graph that has the weight of a part of an MLP, or of an expert. */
export const mlpInput = (part: MlpPart, expert?: number): string =>
  expert === undefined ? `${part}Weight` : `${part}Weight.${expert}`;

/** The parameters of a layer's MLP or of its experts, in arena order. */
function mlpInputs(text: TextConfig): Record<string, WeightInput> {
  const { hiddenSize: width, intermediateSize: inner, experts } = text;
  const named = (weights: Record<MlpPart, WeightInput>, expert?: number) =>
    mlpParts.map((part) => [mlpInput(part, expert), weights[part]] as const);
  if (experts === null) return Object.fromEntries(named(mlpWeights('mlp', width, inner)));
  return {
    routerWeight: one('mlp.gate.weight', experts.count, width),
    ...Object.fromEntries(expertWeights(text).flatMap(named)),
  };
}

/** The products of a layer's attention. */
export function attentionProducts(text: TextConfig) {
  const { qkvWeight, outputWeight } = attentionInputs(text);
  return { qkv: productOf('qkv', qkvWeight), output: productOf('output', outputWeight) };
}

/** The products of a dense layer's MLP. */
export function mlpProducts({ hiddenSize, intermediateSize }: TextConfig): MlpProducts {
  const { gate, up, down } = mlpWeights('mlp', hiddenSize, intermediateSize);
  return {
    gate: productOf('gate', gate),
    up: productOf('up', up),
    down: productOf('down', down),
  };
}

/** The products of each expert of a layer; none in a dense one. */
export function expertProducts(text: TextConfig): MlpProducts[] {
  return expertWeights(text).map(({ gate, up, down }, expert) => ({
    gate: productOf(`gate.${expert}`, gate),
    up: productOf(`up.${expert}`, up),
    down: productOf(`down.${expert}`, down),
  }));
}

/**
 * A decoder layer. The router is no product: adapters leave it as it is, so that the experts stay those that the model
 * was trained to choose.
 */
function layerModule(prefix: string, text: TextConfig): Module {
  const mlps = text.experts === null ? [mlpProducts(text)] : expertProducts(text);
  return prefixed(prefix, { ...attentionInputs(text), ...mlpInputs(text) }, [
    ...Object.values(attentionProducts(text)),
    ...mlps.flatMap((mlp) => mlpParts.map((part) => mlp[part])),
  ]);
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
  return [
    [moduleNames.embedding, plain({ weight: one(embedding, text.vocabSize, text.hiddenSize) })],
    ...decoderLayers(text).map(({ name, config }): NamedModule => [
      name,
      layerModule(`${prefix}.${name}`, config),
    ]),
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
