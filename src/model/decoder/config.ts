/** The text model in a `config.json`: transformers' keys and defaults, with the traits of its family. */
import * as t from 'io-ts';
import { decodeJson } from '../../check/json.ts';
import { positive } from '../../check/scalars.ts';
import type { ConfigFormat } from '../architecture.ts';
import {
  Checks,
  index,
  layers,
  nullable,
  propsOf,
  size,
  under,
  vocabulary,
} from '../config-fields.ts';
import type { TextConfig } from '../model-config.ts';
import { Experts, expertKey, expertsConfig, type ExpertTraits } from './experts-config.ts';
import { Rope, ropeScaling } from './rope-config.ts';

/** The traits of a family's decoder that its `config.json` does not say. */
export interface DecoderTraits {
  readonly qkvBias: boolean;
  readonly qkNorm: boolean;
  /** Head size where the file has none; null for `hidden_size / num_attention_heads`. */
  readonly headDim: number | null;
  /** True where heads cannot have another size than `hidden_size / num_attention_heads`. */
  readonly isHeadDimFixed: boolean;
  /** Defaults of `rms_norm_eps` and `rope_theta`. */
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Null for a family of dense models. */
  readonly experts: ExpertTraits | null;
  /** Order of the rotary frequencies of time, height and width; null without vision. */
  readonly mrope: TextConfig['mropeLayout'] | null;
}

/** The traits of Llama's decoder, from which families differ: no biases, no norms of heads. */
const llamaTraits: DecoderTraits = {
  qkvBias: false,
  qkNorm: false,
  headDim: null,
  isHeadDimFixed: false,
  rmsNormEps: 1e-6,
  ropeTheta: 1e4,
  experts: null,
  mrope: null,
};

const Text = t.intersection([
  t.type({
    hidden_size: size,
    num_hidden_layers: layers,
    num_attention_heads: size,
    intermediate_size: size,
    vocab_size: vocabulary,
  }),
  t.partial({
    num_key_value_heads: nullable(size),
    head_dim: nullable(size),
    hidden_act: t.string,
    rms_norm_eps: positive,
    rope_theta: positive,
    rope_scaling: nullable(Rope),
    rope_parameters: nullable(Rope),
    max_position_embeddings: nullable(size),
    tie_word_embeddings: t.boolean,
    use_sliding_window: nullable(t.boolean),
    sliding_window: nullable(index),
    max_window_layers: nullable(index),
    layer_types: nullable(t.array(t.string)),
    attention_bias: nullable(t.boolean),
    mlp_bias: nullable(t.boolean),
    attention_dropout: nullable(t.number),
    partial_rotary_factor: nullable(t.number),
    is_causal: nullable(t.boolean),
  }),
]);
type Text = t.TypeOf<typeof Text>;

const Common = t.partial({
  torch_dtype: nullable(t.string),
  dtype: nullable(t.string),
  tie_word_embeddings: t.boolean,
  quantization_config: t.unknown,
});

/** Number of layers with sliding-window attention, as transformers derives it. */
function slidingLayers(text: Text): number {
  if (text.use_sliding_window !== true || text.sliding_window == null) return 0;
  if (text.layer_types != null) {
    return text.layer_types.filter((type) => type !== 'full_attention').length;
  }
  return Math.max(0, text.num_hidden_layers - (text.max_window_layers ?? 0));
}

function textConfig(
  text: Text,
  { experts, tieWordEmbeddings }: Pick<TextConfig, 'experts' | 'tieWordEmbeddings'>,
  traits: DecoderTraits,
  checks: Checks,
): TextConfig {
  const heads = text.num_attention_heads;
  const kvHeads = text.num_key_value_heads ?? heads;
  const headDim = text.head_dim ?? traits.headDim ?? text.hidden_size / heads;
  const rope = text.rope_scaling ?? text.rope_parameters ?? {};
  const { mrope_section: section, mrope_interleaved: isInterleaved } = rope;
  const [time = 0, height = 0, width = 0] = section ?? [];
  checks.that(
    Number.isInteger(headDim) && headDim % 2 === 0,
    `head size ${headDim} (hidden_size ${text.hidden_size} / num_attention_heads ${heads}) is not an even whole number`,
  );
  checks.that(
    heads % kvHeads === 0,
    `num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`,
  );
  checkTextFeatures(text, traits, checks);
  checks.that(
    !traits.isHeadDimFixed || headDim === text.hidden_size / heads,
    `head_dim ${headDim} is not supported, only hidden_size / num_attention_heads`,
  );
  const scaling = ropeScaling(
    rope,
    text.max_position_embeddings ?? undefined,
    traits.mrope,
    checks,
  );
  if (traits.mrope !== null) {
    checks.that(
      section?.length === 3 && time + height + width === headDim / 2,
      `mrope_section must be 3 numbers that sum to half the head size, ${headDim / 2}; got ${JSON.stringify(section ?? null)}`,
    );
    checks.that(
      isInterleaved === undefined || isInterleaved === (traits.mrope === 'interleaved'),
      `mrope_interleaved ${isInterleaved} is not supported by this architecture`,
    );
  }
  return {
    hiddenSize: text.hidden_size,
    layers: text.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    intermediateSize: text.intermediate_size,
    experts,
    vocabSize: text.vocab_size,
    rmsNormEps: text.rms_norm_eps ?? traits.rmsNormEps,
    ropeTheta: rope.rope_theta ?? text.rope_theta ?? traits.ropeTheta,
    ropeScaling: scaling,
    mropeSection: traits.mrope === null ? null : [time, height, width],
    mropeLayout: traits.mrope ?? 'sections',
    qkvBias: traits.qkvBias,
    qkNorm: traits.qkNorm,
    tieWordEmbeddings,
  };
}

/** Refuses features of a text model that are not supported. */
function checkTextFeatures(text: Text, { qkvBias }: DecoderTraits, checks: Checks): void {
  checks.that(
    (text.hidden_act ?? 'silu') === 'silu',
    `hidden_act "${text.hidden_act}" is not supported, only "silu"`,
  );
  checks.that(
    qkvBias || !(text.attention_bias ?? false),
    'attention_bias true is not supported by this architecture',
  );
  checks.that(!(text.mlp_bias ?? false), 'mlp_bias true is not supported');
  checks.that(
    (text.partial_rotary_factor ?? 1) === 1,
    `partial_rotary_factor ${text.partial_rotary_factor} is not supported, only 1`,
  );
  checks.that(text.is_causal ?? true, 'is_causal false is not supported');
  checks.that(
    (text.attention_dropout ?? 0) === 0,
    `attention_dropout ${text.attention_dropout} is not supported, only 0`,
  );
  const sliding = slidingLayers(text);
  checks.that(
    sliding === 0,
    `sliding-window attention (use_sliding_window, ${sliding} layers) is not supported`,
  );
}

/** Refuses experts of a family that has none. */
function withoutExperts(text: Readonly<Record<string, unknown>>, checks: Checks): null {
  const key = expertKey(text);
  checks.that(
    key === undefined,
    `${key} ${String(text[key!])} is not supported by this architecture`,
  );
  return null;
}

/** The decoder of a `config.json`, and the dtype that the file states. */
interface DecodedText {
  readonly text: TextConfig;
  readonly torchDtype: string | null;
}

/**
 * Decodes the text model of a file, its keys at the top or in a section, and the keys common to all models. Optional
 * keys default to transformers' values; unknown keys are ignored.
 *
 * @param own traits of the family, where they differ from Llama's
 * @throws CHECKPOINT_INVALID naming file and fields that are missing or mistyped; what else is wrong goes to `checks`
 */
export function decodeText(
  value: unknown,
  file: string,
  own: Partial<DecoderTraits>,
  checks: Checks,
): DecodedText {
  const traits = { ...llamaTraits, ...own };
  const common = decodeJson(Common, value, file);
  const isNested = t.UnknownRecord.is(value) && 'text_config' in value;
  const section = <A>(codec: t.Type<A, unknown>): A =>
    isNested
      ? decodeJson(t.type({ text_config: codec }), value, file).text_config
      : decodeJson(codec, value, file);
  const text = section(Text);
  const isTied = common.tie_word_embeddings === true || text.tie_word_embeddings === true;
  checks.that(
    common.quantization_config == null,
    'quantization_config is not supported: weights have to be stored as f32, f16 or bf16',
  );
  const experts =
    traits.experts !== null
      ? expertsConfig(section(Experts), traits.experts, text.num_hidden_layers, checks)
      : withoutExperts(section(t.UnknownRecord), checks);
  return {
    text: textConfig(text, { experts, tieWordEmbeddings: isTied }, traits, checks),
    torchDtype: common.torch_dtype ?? common.dtype ?? null,
  };
}

/** Paths of the text model's keys in a `config.json`, flat or nested, and of those common to all models. */
export function textPaths(isNested: boolean, { experts = null }: Partial<DecoderTraits>): string[] {
  const keys = [...propsOf(Text), ...(experts === null ? [] : propsOf(Experts))];
  const text = keys.flatMap((key) =>
    key === 'rope_scaling' || key === 'rope_parameters' ? under(key, propsOf(Rope)) : [key],
  );
  return ['architectures', ...propsOf(Common), ...(isNested ? under('text_config', text) : text)];
}

/** The `config.json` of a text model. */
export function textFormat(traits: Partial<DecoderTraits>): ConfigFormat {
  return {
    decode(value, file) {
      const checks = new Checks(file);
      const decoded = decodeText(value, file, traits, checks);
      checks.finish();
      return { ...decoded, vision: null, tokens: null };
    },
    readPaths: (isNested) => textPaths(isNested, traits),
  };
}
