/**
 * The files that say which family a demo's model is of: `config.json` and the image processor's.
 *
 * Qwen2.5-VL's is in the hub's flat form. The others are in that of transformers 5, to which `inBothLayouts` adds the
 * keys of version 4.
 */
import type { Bpe } from './bpe.ts';
import type { DemoFamily } from './family.ts';
import { controlIds, tokenizerSize } from './tokenizer-files.ts';

/** Sizes of a small model; those of the vision tower are of no use to a text model. */
export interface DemoModelSize {
  readonly hiddenSize: number;
  readonly layers: number;
  /** `hiddenSize / heads` must be a multiple of 16, so that rotary sections split as in the real model. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly intermediateSize: number;
  readonly visionDepth: number;
  readonly visionHiddenSize: number;
  readonly visionHeads: number;
  readonly visionIntermediateSize: number;
  /** Side of the vision tower's attention windows, pixels. */
  readonly windowSize: number;
  /** BPE tokens wanted, the 256 bytes included. */
  readonly bpeSize: number;
  readonly tieWordEmbeddings: boolean;
}

type Json = Readonly<Record<string, unknown>>;

interface FamilyFiles {
  readonly config: (size: DemoModelSize, bpe: Bpe) => Json;
  /** Null for a family without vision. */
  readonly preprocessor: Json | null;
  /** Side of pictures that are not resized, pixels. */
  readonly pictureSize: number;
}

/** Longest sequence. */
const CONTEXT = 8192;

/** Ids that there is room for. */
function vocabularyOf(bpe: Bpe): number {
  return Math.ceil(tokenizerSize(bpe) / 64) * 64;
}

/** Keys that any decoder has. */
function decoder(size: DemoModelSize, bpe: Bpe): Json {
  const ids = controlIds(bpe);
  return {
    attention_dropout: 0,
    bos_token_id: ids['<|endoftext|>'],
    eos_token_id: ids['<|im_end|>'],
    hidden_act: 'silu',
    hidden_size: size.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: size.intermediateSize,
    max_position_embeddings: CONTEXT,
    num_attention_heads: size.heads,
    num_hidden_layers: size.layers,
    num_key_value_heads: size.kvHeads,
    rms_norm_eps: 1e-6,
    use_cache: true,
    vocab_size: vocabularyOf(bpe),
  };
}

/** Rotary frequencies of time, height and width, in the real models' shares. */
function mropeSection({ hiddenSize, heads }: DemoModelSize): number[] {
  const section = hiddenSize / heads / 16;
  return [2 * section, 3 * section, 3 * section];
}

/** Ids of the tokens about pictures. */
function visionTokens(bpe: Bpe): Json {
  const ids = controlIds(bpe);
  return {
    vision_start_token_id: ids['<|vision_start|>'],
    vision_end_token_id: ids['<|vision_end|>'],
    image_token_id: ids['<|image_pad|>'],
    video_token_id: ids['<|video_pad|>'],
  };
}

/** Config of Qwen2.5-VL, in the order of keys that its bytes have always had. */
function qwen25Vl(size: DemoModelSize, bpe: Bpe): Json {
  const ids = controlIds(bpe);
  return {
    architectures: ['Qwen2_5_VLForConditionalGeneration'],
    attention_dropout: 0,
    bos_token_id: ids['<|endoftext|>'],
    eos_token_id: ids['<|im_end|>'],
    vision_start_token_id: ids['<|vision_start|>'],
    vision_end_token_id: ids['<|vision_end|>'],
    vision_token_id: ids['<|vision_pad|>'],
    image_token_id: ids['<|image_pad|>'],
    video_token_id: ids['<|video_pad|>'],
    hidden_act: 'silu',
    hidden_size: size.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: size.intermediateSize,
    max_position_embeddings: CONTEXT,
    max_window_layers: size.layers,
    model_type: 'qwen2_5_vl',
    num_attention_heads: size.heads,
    num_hidden_layers: size.layers,
    num_key_value_heads: size.kvHeads,
    rms_norm_eps: 1e-6,
    rope_theta: 1e6,
    rope_scaling: { type: 'mrope', mrope_section: mropeSection(size) },
    sliding_window: 32768,
    tie_word_embeddings: size.tieWordEmbeddings,
    torch_dtype: 'float32',
    use_cache: true,
    use_sliding_window: false,
    vision_config: {
      depth: size.visionDepth,
      hidden_act: 'silu',
      hidden_size: size.visionHiddenSize,
      intermediate_size: size.visionIntermediateSize,
      num_heads: size.visionHeads,
      in_chans: 3,
      out_hidden_size: size.hiddenSize,
      patch_size: 14,
      spatial_merge_size: 2,
      spatial_patch_size: 14,
      window_size: size.windowSize,
      fullatt_block_indexes: [size.visionDepth - 1],
      tokens_per_second: 2,
      temporal_patch_size: 2,
    },
    vocab_size: vocabularyOf(bpe),
  };
}

function qwen2Vl(size: DemoModelSize, bpe: Bpe): Json {
  return {
    architectures: ['Qwen2VLForConditionalGeneration'],
    model_type: 'qwen2_vl',
    dtype: 'float32',
    ...visionTokens(bpe),
    tie_word_embeddings: size.tieWordEmbeddings,
    text_config: {
      ...decoder(size, bpe),
      model_type: 'qwen2_vl_text',
      rope_parameters: {
        mrope_section: mropeSection(size),
        rope_theta: 1e6,
        rope_type: 'default',
      },
    },
    vision_config: {
      depth: size.visionDepth,
      embed_dim: size.visionHiddenSize,
      hidden_act: 'quick_gelu',
      hidden_size: size.hiddenSize,
      in_channels: 3,
      mlp_ratio: size.visionIntermediateSize / size.visionHiddenSize,
      model_type: 'qwen2_vl',
      num_heads: size.visionHeads,
      patch_size: 14,
      spatial_merge_size: 2,
      temporal_patch_size: 2,
    },
  };
}

function qwen3Vl(size: DemoModelSize, bpe: Bpe): Json {
  return {
    architectures: ['Qwen3VLForConditionalGeneration'],
    model_type: 'qwen3_vl',
    dtype: 'float32',
    ...visionTokens(bpe),
    tie_word_embeddings: size.tieWordEmbeddings,
    text_config: {
      ...decoder(size, bpe),
      attention_bias: false,
      head_dim: size.hiddenSize / size.heads,
      model_type: 'qwen3_vl_text',
      rope_parameters: {
        mrope_interleaved: true,
        mrope_section: mropeSection(size),
        rope_theta: 5e6,
        rope_type: 'default',
      },
    },
    vision_config: {
      // All blocks but the last also reach the decoder, as far as that has layers for them.
      deepstack_visual_indexes: Array.from(
        { length: Math.min(size.visionDepth, size.layers) - 1 },
        (_, block) => block,
      ),
      depth: size.visionDepth,
      hidden_act: 'gelu_pytorch_tanh',
      hidden_size: size.visionHiddenSize,
      in_channels: 3,
      intermediate_size: size.visionIntermediateSize,
      model_type: 'qwen3_vl',
      num_heads: size.visionHeads,
      num_position_embeddings: 64,
      out_hidden_size: size.hiddenSize,
      patch_size: 16,
      spatial_merge_size: 2,
      temporal_patch_size: 2,
    },
  };
}

/** A text model of the same keys, with those that only it has. */
const textModel =
  (own: Json) =>
  (size: DemoModelSize, bpe: Bpe): Json => ({
    ...own,
    ...decoder(size, bpe),
    attention_bias: false,
    dtype: 'float32',
    head_dim: size.hiddenSize / size.heads,
    rope_parameters: { rope_theta: 1e6, rope_type: 'default' },
    tie_word_embeddings: size.tieWordEmbeddings,
  });

/** Eight experts, of which the two of a token are together as wide as the dense model's MLP. */
function experts({ intermediateSize }: DemoModelSize): Json {
  return {
    decoder_sparse_step: 1,
    mlp_only_layers: [],
    moe_intermediate_size: intermediateSize / 2,
    norm_topk_prob: true,
    num_experts: 8,
    num_experts_per_tok: 2,
  };
}

function qwen3Moe(size: DemoModelSize, bpe: Bpe): Json {
  const own = { architectures: ['Qwen3MoeForCausalLM'], model_type: 'qwen3_moe' };
  return { ...textModel(own)(size, bpe), ...experts(size) };
}

function qwen3VlMoe(size: DemoModelSize, bpe: Bpe): Json {
  const { text_config: text, vision_config: vision, ...dense } = qwen3Vl(size, bpe);
  return {
    ...dense,
    architectures: ['Qwen3VLMoeForConditionalGeneration'],
    model_type: 'qwen3_vl_moe',
    text_config: { ...(text as Json), ...experts(size), model_type: 'qwen3_vl_moe_text' },
    vision_config: { ...(vision as Json), model_type: 'qwen3_vl_moe' },
  };
}

const qwen2Processor: Json = {
  min_pixels: 56 * 56,
  max_pixels: 64 * 28 * 28,
  patch_size: 14,
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  image_processor_type: 'Qwen2VLImageProcessor',
};

const qwen3Processor: Json = {
  size: { shortest_edge: 64 * 64, longest_edge: 64 * 32 * 32 },
  patch_size: 16,
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  image_processor_type: 'Qwen2VLImageProcessorFast',
  processor_class: 'Qwen3VLProcessor',
};

/** Files of each family, and its traits that a demo follows. */
export const familyFiles: Readonly<Record<DemoFamily, FamilyFiles>> = {
  'qwen2.5-vl': {
    config: qwen25Vl,
    preprocessor: { ...qwen2Processor, processor_class: 'Qwen2_5_VLProcessor' },
    pictureSize: 112,
  },
  'qwen2-vl': {
    config: qwen2Vl,
    preprocessor: { ...qwen2Processor, processor_class: 'Qwen2VLProcessor' },
    pictureSize: 112,
  },
  'qwen3-vl': { config: qwen3Vl, preprocessor: qwen3Processor, pictureSize: 128 },
  'qwen3-vl-moe': { config: qwen3VlMoe, preprocessor: qwen3Processor, pictureSize: 128 },
  qwen3: {
    config: textModel({ architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3' }),
    preprocessor: null,
    pictureSize: 112,
  },
  'qwen3-moe': { config: qwen3Moe, preprocessor: null, pictureSize: 112 },
  llama: {
    config: textModel({
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      mlp_bias: false,
    }),
    preprocessor: null,
    pictureSize: 112,
  },
};
