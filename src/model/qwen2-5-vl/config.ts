import * as t from 'io-ts';

import { CxmindError } from '../../errors.ts';
import { decodeJson } from '../../check/json.ts';
import { positive, wholeFrom } from '../../check/scalars.ts';
import type { ModelConfig, TextConfig, VisionConfig } from '../model-config.ts';

/**
 * Bounds far above any existing model. A config with more is damaged, and is refused by the field's name before
 * anything is allocated by its sizes.
 */
const layers = wholeFrom(1, 2 ** 10);
const size = wholeFrom(1, 2 ** 20);
const vocabulary = wholeFrom(1, 2 ** 24);
const index = wholeFrom(0);
const nullable = <C extends t.Mixed>(codec: C): t.UnionC<[C, t.NullC]> => t.union([codec, t.null]);

const Rope = t.partial({
  type: t.string,
  rope_type: t.string,
  rope_theta: positive,
  mrope_section: t.array(index),
});

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
    tie_word_embeddings: t.boolean,
    use_sliding_window: nullable(t.boolean),
    sliding_window: nullable(index),
    max_window_layers: nullable(index),
    layer_types: nullable(t.array(t.string)),
    attention_dropout: nullable(t.number),
    partial_rotary_factor: nullable(t.number),
    is_causal: nullable(t.boolean),
  }),
]);
type Text = t.TypeOf<typeof Text>;

const Vision = t.intersection([
  t.type({
    depth: layers,
    hidden_size: size,
    num_heads: size,
    intermediate_size: size,
    out_hidden_size: size,
    fullatt_block_indexes: t.array(index),
  }),
  t.partial({
    hidden_act: t.string,
    in_channels: size,
    patch_size: size,
    temporal_patch_size: size,
    spatial_merge_size: size,
    window_size: size,
    tokens_per_second: positive,
    rope_parameters: nullable(t.partial({ rope_theta: positive, rope_type: t.string })),
  }),
]);
type Vision = t.TypeOf<typeof Vision>;

const Common = t.partial({
  torch_dtype: nullable(t.string),
  dtype: nullable(t.string),
  tie_word_embeddings: t.boolean,
  quantization_config: t.unknown,
});
const VisionLanguage = t.intersection([
  Common,
  t.type({ vision_config: Vision, image_token_id: index, video_token_id: index }),
  t.partial({ vision_start_token_id: index, vision_end_token_id: index }),
]);
const Nested = t.type({ text_config: Text });

/** Collects the issues of a config, to throw them all at once. */
class Checks {
  readonly #file: string;
  readonly #issues: string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  that(holds: boolean, issue: string): void {
    if (!holds) this.#issues.push(issue);
  }

  finish(): void {
    if (this.#issues.length === 0) return;
    throw new CxmindError('CHECKPOINT_INVALID', `${this.#file}: ${this.#issues.join('; ')}`, {
      detail: { file: this.#file, issues: this.#issues },
    });
  }
}

/** Number of layers with sliding-window attention, as transformers derives it. */
function slidingLayers(text: Text): number {
  if (text.use_sliding_window !== true || text.sliding_window == null) return 0;
  if (text.layer_types != null) {
    return text.layer_types.filter((type) => type !== 'full_attention').length;
  }
  return Math.max(0, text.num_hidden_layers - (text.max_window_layers ?? 0));
}

function textConfig(text: Text, tied: boolean, withVision: boolean, checks: Checks): TextConfig {
  const heads = text.num_attention_heads;
  const kvHeads = text.num_key_value_heads ?? heads;
  const headDim = text.head_dim ?? text.hidden_size / heads;
  const rope = text.rope_scaling ?? text.rope_parameters ?? {};
  const ropeType = rope.rope_type ?? rope.type ?? 'default';
  const section = rope.mrope_section;
  const [time = 0, height = 0, width = 0] = section ?? [];

  checks.that(
    Number.isInteger(headDim) && headDim % 2 === 0,
    `head size ${headDim} (hidden_size ${text.hidden_size} / num_attention_heads ${heads}) is not an even whole number`,
  );
  checks.that(
    heads % kvHeads === 0,
    `num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`,
  );
  checkTextFeatures(text, ropeType, withVision, checks);
  if (withVision) {
    checks.that(
      headDim === text.hidden_size / heads,
      `head_dim ${headDim} is not supported, only hidden_size / num_attention_heads`,
    );
    checks.that(
      section?.length === 3 && time + height + width === headDim / 2,
      `mrope_section must be 3 numbers that sum to half the head size, ${headDim / 2}; got ${JSON.stringify(section ?? null)}`,
    );
  }
  return {
    hiddenSize: text.hidden_size,
    layers: text.num_hidden_layers,
    heads,
    kvHeads,
    headDim,
    intermediateSize: text.intermediate_size,
    vocabSize: text.vocab_size,
    rmsNormEps: text.rms_norm_eps ?? (withVision ? 1e-5 : 1e-6),
    ropeTheta: rope.rope_theta ?? text.rope_theta ?? (withVision ? 1e6 : 1e4),
    mropeSection: withVision ? [time, height, width] : null,
    tieWordEmbeddings: tied,
  };
}

/** Refuses features of a text model that are not supported. */
function checkTextFeatures(
  text: Text,
  ropeType: string,
  withVision: boolean,
  checks: Checks,
): void {
  checks.that(
    (text.hidden_act ?? 'silu') === 'silu',
    `hidden_act "${text.hidden_act}" is not supported, only "silu"`,
  );
  checks.that(
    ropeType === 'default' || (withVision && ropeType === 'mrope'),
    `rope type "${ropeType}" is not supported, only "default"${withVision ? ' and "mrope"' : ''}`,
  );
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

function visionConfig(vision: Vision, hiddenSize: number, checks: Checks): VisionConfig {
  const patchSize = vision.patch_size ?? 14;
  const mergeSize = vision.spatial_merge_size ?? 2;
  const windowSize = vision.window_size ?? 112;
  checks.that(
    vision.hidden_size % (4 * vision.num_heads) === 0,
    `vision_config.hidden_size ${vision.hidden_size} is not a multiple of 4 x num_heads ${vision.num_heads}`,
  );
  checks.that(
    (vision.hidden_act ?? 'silu') === 'silu',
    `vision_config.hidden_act "${vision.hidden_act}" is not supported, only "silu"`,
  );
  const { rope_theta: theta = 1e4, rope_type: type = 'axial' } = vision.rope_parameters ?? {};
  checks.that(
    theta === 1e4 && ['axial', 'default'].includes(type),
    `vision_config.rope_parameters of type "${type}" and theta ${theta} are not supported, only "axial" and 10000`,
  );
  checks.that(
    vision.out_hidden_size === hiddenSize,
    `vision_config.out_hidden_size ${vision.out_hidden_size} differs from the decoder's hidden_size ${hiddenSize}`,
  );
  checks.that(
    windowSize >= patchSize * mergeSize,
    `vision_config.window_size ${windowSize} is smaller than a merged patch, ${patchSize * mergeSize}`,
  );
  return {
    depth: vision.depth,
    hiddenSize: vision.hidden_size,
    heads: vision.num_heads,
    intermediateSize: vision.intermediate_size,
    inChannels: vision.in_channels ?? 3,
    patchSize,
    temporalPatchSize: vision.temporal_patch_size ?? 2,
    mergeSize,
    windowSize,
    fullAttentionBlocks: vision.fullatt_block_indexes,
    outHiddenSize: vision.out_hidden_size,
    tokensPerSecond: vision.tokens_per_second ?? 4,
  };
}

/** Decodes the text model of a file, its keys at the top or in a section, and the keys common to all models. */
function textModel(value: unknown, file: string, checks: Checks) {
  const common = decodeJson(Common, value, file);
  const isNested = typeof value === 'object' && value !== null && 'text_config' in value;
  const text = isNested
    ? decodeJson(Nested, value, file).text_config
    : decodeJson(Text, value, file);
  const tied = common.tie_word_embeddings === true || text.tie_word_embeddings === true;
  checks.that(
    common.quantization_config == null,
    'quantization_config is not supported: weights have to be stored as f32, f16 or bf16',
  );
  return { text, tied, torchDtype: common.torch_dtype ?? common.dtype ?? null };
}

/**
 * Decodes the text model of a `config.json`. Optional keys default to transformers' values; unknown keys are ignored.
 *
 * @throws CHECKPOINT_INVALID naming file and fields
 */
export function decodeTextModel(architecture: string, value: unknown, file: string): ModelConfig {
  const checks = new Checks(file);
  const { text, tied, torchDtype } = textModel(value, file, checks);
  const decoder = textConfig(text, tied, false, checks);
  checks.finish();
  return { architecture, text: decoder, vision: null, tokens: null, torchDtype };
}

/**
 * Decodes the vision-language model of a `config.json`, in the hub's flat form or transformers 5's nested one.
 *
 * @throws CHECKPOINT_INVALID naming file and fields
 */
export function decodeVisionModel(architecture: string, value: unknown, file: string): ModelConfig {
  const checks = new Checks(file);
  const { text, tied, torchDtype } = textModel(value, file, checks);
  const outer = decodeJson(VisionLanguage, value, file);
  const decoder = textConfig(text, tied, true, checks);
  const vision = visionConfig(outer.vision_config, decoder.hiddenSize, checks);
  const tokens = {
    imagePad: outer.image_token_id,
    videoPad: outer.video_token_id,
    visionStart: outer.vision_start_token_id ?? 151652,
    visionEnd: outer.vision_end_token_id ?? 151653,
  };
  for (const [name, id] of Object.entries(tokens)) {
    checks.that(
      id < decoder.vocabSize,
      `${name} id ${id} is not below vocab_size ${decoder.vocabSize}`,
    );
  }
  checks.finish();
  return { architecture, text: decoder, vision, tokens, torchDtype };
}

/** Paths in a `config.json` that are read, with the text model's keys flat or nested. */
export function readPaths(isNested: boolean): string[] {
  const text = propsOf(Text).flatMap((key) =>
    key === 'rope_scaling' || key === 'rope_parameters' ? under(`${key}.`, propsOf(Rope)) : [key],
  );
  return [
    'architectures',
    ...propsOf(Common),
    ...propsOf(VisionLanguage).filter((key) => key !== 'vision_config'),
    ...under('vision_config.', propsOf(Vision)),
    ...(isNested ? under('text_config.', text) : text),
  ];
}

const under = (prefix: string, keys: readonly string[]): string[] =>
  keys.map((key) => `${prefix}${key}`);

/** Names of the fields of a codec of mappings. */
function propsOf(codec: t.Mixed): string[] {
  if (codec instanceof t.IntersectionType) return (codec.types as t.Mixed[]).flatMap(propsOf);
  if (codec instanceof t.InterfaceType || codec instanceof t.PartialType) {
    return Object.keys(codec.props as t.Props);
  }
  return [];
}
