/**
 * The names of a decoder's parameters on the hub, as Llama gave them. Qwen's families keep them, below a prefix of
 * their own where there is a vision tower.
 */
import type { HeadKind, WeightNames } from '../architecture.ts';
import type { ExpertsConfig, ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';
import {
  moduleNames,
  productOf,
  type Module,
  type Product,
  type WeightInput,
} from '../weights/modules.ts';
import { decoderLayers } from '../decoder-layers.ts';
import { joined, one, plain, prefixed, type NamedModule } from '../weights/naming.ts';

/** Name of a policy's head. */
export const HEAD = 'lm_head.weight';
/** Names of a value model's head, as of transformers' token classifiers. */
export const SCORE = { weight: 'score.weight', bias: 'score.bias' };

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

/** The weights of each expert of a layer, where experts have their own. */
function expertWeights({ hiddenSize }: TextConfig, { count, intermediateSize }: ExpertsConfig) {
  return Array.from({ length: count }, (_, expert) =>
    mlpWeights(`mlp.experts.${expert}`, hiddenSize, intermediateSize),
  );
}

/** The weights of each expert of a layer, as parts of those of all. */
function stackedWeights(
  { hiddenSize: width }: TextConfig,
  { count, intermediateSize: inner }: ExpertsConfig,
) {
  const partOf = (name: string, shape: readonly number[], part: number): WeightInput => ({
    parameters: [{ name: `mlp.experts.${name}`, shape: [count, ...shape] }],
    ...{ shape, part },
  });
  return Array.from({ length: count }, (_, expert) => ({
    gateUp: partOf('gate_up_proj', [width, 2 * inner], expert),
    down: partOf('down_proj', [inner, width], expert),
  }));
}

/** The input of a layer's graph that has a weight of an expert. */
export const expertInput = (part: MlpPart | 'gateUp', expert: number): string =>
  `${part}Weight.${expert}`;

/** The parameters of a layer's MLP or of its experts, in arena order. */
function mlpInputs(text: TextConfig): Record<string, WeightInput> {
  const { hiddenSize: width, intermediateSize: inner, experts } = text;
  if (experts === null) {
    const { gate, up, down } = mlpWeights('mlp', width, inner);
    return { gateWeight: gate, upWeight: up, downWeight: down };
  }
  const weights = experts.isStacked ? stackedWeights(text, experts) : expertWeights(text, experts);
  const named = weights.flatMap((own, expert) =>
    Object.entries(own).map(
      ([part, input]) => [expertInput(part as keyof typeof own, expert), input] as const,
    ),
  );
  return {
    routerWeight: one('mlp.gate.weight', experts.count, width),
    ...Object.fromEntries(named),
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

/** The products of each expert of a layer, where experts have weights of their own; stacked ones take no adapters. */
export function expertProducts(text: TextConfig, experts: ExpertsConfig): MlpProducts[] {
  if (experts.isStacked) return [];
  return expertWeights(text, experts).map(({ gate, up, down }, expert) => ({
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
  const mlps = text.experts === null ? [mlpProducts(text)] : expertProducts(text, text.experts);
  return prefixed(prefix, { ...attentionInputs(text), ...mlpInputs(text) }, [
    ...Object.values(attentionProducts(text)),
    ...mlps.flatMap((mlp) => mlpParts.map((part) => mlp[part])),
  ]);
}

function embeddingOf(prefix: string): string {
  return `${prefix}.embed_tokens.weight`;
}

/** The modules of a decoder with a head, in arena order; `prefix` begins the names of its parameters. */
function decoderModules({ text }: ModelConfig, kind: HeadKind, prefix: string): NamedModule[] {
  const { vocabSize, hiddenSize: width } = text;
  const embedding = embeddingOf(prefix);
  const finalNorm = one(`${prefix}.norm.weight`, width);
  const headWeight = one(text.tieWordEmbeddings ? embedding : HEAD, vocabSize, width);
  const score = { scoreWeight: one(SCORE.weight, 1, width), scoreBias: one(SCORE.bias, 1) };
  return [
    [moduleNames.embedding, plain({ weight: one(embedding, vocabSize, width) })],
    ...decoderLayers(text).map(({ name, config }, i): NamedModule => [
      name,
      layerModule(`${prefix}.layers.${i}`, config),
    ]),
    [moduleNames.head, plain({ finalNorm, ...(kind === 'value' ? score : { headWeight }) })],
  ];
}

/** The parts in which families' names differ. */
interface NamesOfFamily extends Partial<Pick<WeightNames, 'inTransformers'>> {
  /** Beginning of the names of the decoder's parameters. */
  readonly prefix?: string;
  /** The modules of the vision tower in arena order. */
  readonly visionModules?: (vision: VisionConfig) => readonly NamedModule[];
  /** The hub's name of a stored tensor. */
  readonly ofStored?: (stored: string) => string;
}

/** The names of a family's parameters; those that transformers stores are the hub's where nothing else is said. */
export function weightNamesOf({
  prefix = 'model',
  visionModules = () => [],
  ofStored = (stored) => stored,
  inTransformers = (name) => name,
}: NamesOfFamily = {}): WeightNames {
  const embedding = embeddingOf(prefix);
  return {
    embedding,
    modules(config, head) {
      const vision = config.vision === null ? [] : visionModules(config.vision);
      return new Map([...vision, ...decoderModules(config, head, prefix)]);
    },
    // A tied head that was stored all the same is the embedding.
    ofStored: (stored, { text }) =>
      text.tieWordEmbeddings && stored === HEAD ? embedding : ofStored(stored),
    inTransformers,
  };
}
