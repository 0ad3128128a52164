/**
 * The names of a decoder's parameters on the hub, as Llama gave them. Qwen's families keep them, below a prefix of
 * their own where there is a vision tower.
 */
import type { HeadKind, WeightNames } from '../architecture.ts';
import type { ExpertsConfig, ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';
import {
  biasOf,
  moduleNames,
  productOf,
  weightInput,
  weightOf,
  type Module,
  type Product,
  type WeightInput,
} from '../weights/modules.ts';
import { decoderLayers } from '../decoder-layers.ts';
import { parameter, prefixed, unprefixed, type NamedModule } from '../weights/naming.ts';

/** Name of a policy's head. */
export const HEAD = 'lm_head.weight';
/** Names of a value model's head, as transformers' token classifiers have them. */
export const SCORE = { weight: 'score.weight', bias: 'score.bias' };

/** The parts of a gated MLP, whose output is `down(silu(gate(x)) * up(x))`. */
export type MlpPart = 'gate' | 'up' | 'down';
type MlpProducts = Readonly<Record<MlpPart, Product>>;

/** The products of a layer's attention. */
export function attentionProducts({ hiddenSize: width, heads, kvHeads, headDim }: TextConfig) {
  return {
    qkv: productOf('qkv', width, {
      'self_attn.q_proj': heads * headDim,
      'self_attn.k_proj': kvHeads * headDim,
      'self_attn.v_proj': kvHeads * headDim,
    }),
    output: productOf('output', heads * headDim, { 'self_attn.o_proj': width }),
  };
}

/** The parameters of a decoder layer without its MLP, named without the layer's prefix. */
function attentionInputs(text: TextConfig): Module['inputs'] {
  const { hiddenSize: width, headDim } = text;
  const { qkv, output } = attentionProducts(text);
  return {
    inputNorm: parameter('input_layernorm.weight', width),
    qkvWeight: weightOf(qkv),
    ...(text.qkvBias && { qkvBias: biasOf(qkv) }),
    ...(text.qkNorm && {
      queryNorm: parameter('self_attn.q_norm.weight', headDim),
      keyNorm: parameter('self_attn.k_norm.weight', headDim),
    }),
    outputWeight: weightOf(output),
    postNorm: parameter('post_attention_layernorm.weight', width),
  };
}

/** The products of a gated MLP, whose names end in `suffix`. */
function gatedProducts(module: string, width: number, inner: number, suffix = ''): MlpProducts {
  return {
    gate: productOf(`gate${suffix}`, width, { [`${module}.gate_proj`]: inner }),
    up: productOf(`up${suffix}`, width, { [`${module}.up_proj`]: inner }),
    down: productOf(`down${suffix}`, inner, { [`${module}.down_proj`]: width }),
  };
}

/** The products of a dense layer's MLP. */
export function mlpProducts({ hiddenSize, intermediateSize }: TextConfig): MlpProducts {
  return gatedProducts('mlp', hiddenSize, intermediateSize);
}

/** The products of each expert of a layer, where experts have weights of their own; stacked ones take no adapters. */
export function expertProducts(
  { hiddenSize }: TextConfig,
  { isStacked, count, intermediateSize }: ExpertsConfig,
): MlpProducts[] {
  return Array.from({ length: isStacked ? 0 : count }, (_, expert) =>
    gatedProducts(`mlp.experts.${expert}`, hiddenSize, intermediateSize, `.${expert}`),
  );
}

/** The products of a layer's MLP, or of its experts. */
function allMlpProducts(text: TextConfig): Product[] {
  const mlps = text.experts === null ? [mlpProducts(text)] : expertProducts(text, text.experts);
  return mlps.flatMap(({ gate, up, down }) => [gate, up, down]);
}

/** The input of a layer's graph that has an expert's part of a stack. */
export const stackedInput = (part: 'gateUp' | 'down', expert: number): string =>
  `${part}.${expert}Weight`;

/** The weight inputs of each expert of a layer, as parts of stacked parameters. */
function stackedInputs(
  { hiddenSize: width }: TextConfig,
  { count, intermediateSize: inner }: ExpertsConfig,
): Module['inputs'] {
  const partOf = (name: string, shape: readonly number[], part: number): WeightInput => ({
    parameters: [{ name: `mlp.experts.${name}`, shape: [count, ...shape] }],
    ...{ shape, part },
  });
  const inputs = Array.from({ length: count }, (_, expert) => [
    [stackedInput('gateUp', expert), partOf('gate_up_proj', [width, 2 * inner], expert)] as const,
    [stackedInput('down', expert), partOf('down_proj', [inner, width], expert)] as const,
  ]);
  return Object.fromEntries(inputs.flat());
}

/** The parameters of a layer's MLP or of its experts, in arena order. */
function mlpInputs(text: TextConfig): Module['inputs'] {
  const { experts, hiddenSize } = text;
  const inputs = Object.fromEntries(
    allMlpProducts(text).map((product) => [weightInput(product), weightOf(product)] as const),
  );
  if (experts === null) return inputs;
  return {
    routerWeight: parameter('mlp.gate.weight', experts.count, hiddenSize),
    ...(experts.isStacked ? stackedInputs(text, experts) : inputs),
  };
}

/**
 * A decoder layer. The router is no product: adapters leave it as it is, so that the experts stay those that the model
 * was trained to choose.
 */
function layerModule(prefix: string, text: TextConfig): Module {
  return prefixed(prefix, { ...attentionInputs(text), ...mlpInputs(text) }, [
    ...Object.values(attentionProducts(text)),
    ...allMlpProducts(text),
  ]);
}

function embeddingOf(prefix: string): string {
  return `${prefix}.embed_tokens.weight`;
}

/** The modules of a decoder with a head, in arena order; `prefix` begins the names of its parameters. */
function decoderModules({ text }: ModelConfig, kind: HeadKind, prefix: string): NamedModule[] {
  const { vocabSize, hiddenSize: width } = text;
  const embedding = embeddingOf(prefix);
  const finalNorm = parameter(`${prefix}.norm.weight`, width);
  const headWeight = parameter(text.tieWordEmbeddings ? embedding : HEAD, vocabSize, width);
  const score = {
    scoreWeight: parameter(SCORE.weight, 1, width),
    scoreBias: parameter(SCORE.bias, 1),
  };
  return [
    [moduleNames.embedding, unprefixed({ weight: parameter(embedding, vocabSize, width) })],
    ...decoderLayers(text).map(({ name, config }, i): NamedModule => [
      name,
      layerModule(`${prefix}.layers.${i}`, config),
    ]),
    [moduleNames.head, unprefixed({ finalNorm, ...(kind === 'value' ? score : { headWeight }) })],
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
    // A tied head is the embedding, even if a file stores it.
    ofStored: (stored, { text }) =>
      text.tieWordEmbeddings && stored === HEAD ? embedding : ofStored(stored),
    inTransformers,
  };
}
