import type { Tensor } from '../../tensor/tensor.ts';
import { adapterViews, modelAdapters, type Adapter, type BlockAdapters } from '../adapter.ts';
import type { Arena } from '../arena.ts';
import type { TextConfig } from './config.ts';
import { patchSizeOf, type MERGER_PARAMETERS, type VISION_BLOCK_PARAMETERS } from './vision.ts';
import type { HEAD_PARAMETERS, LAYER_PARAMETERS, VALUE_HEAD_PARAMETERS } from './decoder.ts';
import type { ModelConfig, VisionConfig } from './config.ts';
import type { ProductBlocks } from './modules.ts';

/** Views of one block's parameters (or of their gradients) by the names its graph gives them. */
export type Views<Names extends readonly string[]> = Readonly<Record<Names[number], Tensor<'f32'>>>;

/** Views by the names that a block's graph gives them. */
export type BlockViews = Readonly<Record<string, Tensor<'f32'>>>;

/** A block's parameters, and those of its adapters. */
export type AdaptedViews<Names extends readonly string[]> = Views<Names> & BlockViews;

/** A model's parameters but for its head as its graphs take them: views of one arena, nothing copied. */
export interface BackboneViews {
  readonly embedding: Tensor<'f32'>; // [V, D]
  readonly layers: readonly AdaptedViews<typeof LAYER_PARAMETERS>[];
  /** Null when there is none in the arena, or in the model. */
  readonly vision: VisionViews | null;
  /** Where there are adapters, whose views lie beside those of the weights; null without any. */
  readonly adapters: ProductBlocks<BlockAdapters> | null;
}

/** All parameters of a policy. */
export interface WeightViews extends BackboneViews {
  readonly head: Views<typeof HEAD_PARAMETERS>;
}

/** All parameters of a value model. */
export interface ValueViews extends BackboneViews {
  readonly head: Views<typeof VALUE_HEAD_PARAMETERS>;
}

/** The vision tower's part of `BackboneViews`. */
export interface VisionViews {
  readonly patchEmbed: { readonly weight: Tensor<'f32'> };
  readonly blocks: readonly AdaptedViews<typeof VISION_BLOCK_PARAMETERS>[];
  readonly merger: AdaptedViews<typeof MERGER_PARAMETERS>;
}

/** The views of an arena laid out for a policy: of the weights themselves, or of an arena of gradients. */
export function weightViews(arena: Arena, config: ModelConfig): WeightViews {
  const backbone = backboneViews(arena, config);
  return {
    ...backbone,
    head: {
      finalNorm: arena.tensor('model.norm.weight'),
      headWeight: headOf(arena, config.text, backbone.embedding),
    },
  };
}

/** The same of an arena laid out for a value model. */
export function valueViews(arena: Arena, config: ModelConfig): ValueViews {
  return {
    ...backboneViews(arena, config),
    head: {
      finalNorm: arena.tensor('model.norm.weight'),
      scoreWeight: arena.tensor('score.weight'),
      scoreBias: arena.tensor('score.bias'),
    },
  };
}

function backboneViews(arena: Arena, { text, vision }: ModelConfig): BackboneViews {
  const hasVision = arena.has('visual.patch_embed.proj.weight');
  return {
    embedding: arena.tensor('model.embed_tokens.weight'),
    layers: Array.from({ length: text.layers }, (_, i) => layerViews(arena, i)),
    vision: vision === null || !hasVision ? null : visionViews(arena, vision),
    adapters: null,
  };
}

/** The same views with those of adapters beside them. */
export function withAdapterViews<Weights extends BackboneViews>(
  weights: Weights,
  { spec, arena }: Adapter,
  config: ModelConfig,
): Weights {
  const { layers, vision } = weights;
  const adapters = modelAdapters(spec, config);
  const adapted = <V extends BlockViews>(views: V, block: BlockAdapters): V => ({
    ...views,
    ...adapterViews(arena, block),
  });
  return {
    ...weights,
    layers: layers.map((views, i) => adapted(views, adapters.layers[i]!)),
    vision: vision && {
      patchEmbed: vision.patchEmbed,
      blocks: vision.blocks.map((views, i) => adapted(views, adapters.visionBlocks[i]!)),
      merger: adapted(vision.merger, adapters.merger!),
    },
    adapters,
  };
}

function headOf(arena: Arena, text: TextConfig, embedding: Tensor<'f32'>): Tensor<'f32'> {
  return text.tieWordEmbeddings ? embedding : arena.tensor('lm_head.weight');
}

function layerViews(arena: Arena, layer: number): Views<typeof LAYER_PARAMETERS> {
  const prefix = `model.layers.${layer}`;
  const attention = `${prefix}.self_attn`;
  const joined = (kind: string): Tensor<'f32'> =>
    arena.span(['q', 'k', 'v'].map((part) => `${attention}.${part}_proj.${kind}`));
  return {
    inputNorm: arena.tensor(`${prefix}.input_layernorm.weight`),
    qkvWeight: joined('weight'),
    qkvBias: joined('bias'),
    outputWeight: arena.tensor(`${attention}.o_proj.weight`),
    postNorm: arena.tensor(`${prefix}.post_attention_layernorm.weight`),
    gateWeight: arena.tensor(`${prefix}.mlp.gate_proj.weight`),
    upWeight: arena.tensor(`${prefix}.mlp.up_proj.weight`),
    downWeight: arena.tensor(`${prefix}.mlp.down_proj.weight`),
  };
}

function visionViews(arena: Arena, config: VisionConfig): VisionViews {
  return {
    patchEmbed: {
      weight: arena.span(
        ['visual.patch_embed.proj.weight'],
        [config.hiddenSize, patchSizeOf(config)],
      ),
    },
    blocks: Array.from({ length: config.depth }, (_, i) => {
      const prefix = `visual.blocks.${i}`;
      const joined = (kind: string): Tensor<'f32'> =>
        arena.span([`${prefix}.mlp.gate_proj.${kind}`, `${prefix}.mlp.up_proj.${kind}`]);
      return {
        norm1: arena.tensor(`${prefix}.norm1.weight`),
        qkvWeight: arena.tensor(`${prefix}.attn.qkv.weight`),
        qkvBias: arena.tensor(`${prefix}.attn.qkv.bias`),
        projWeight: arena.tensor(`${prefix}.attn.proj.weight`),
        projBias: arena.tensor(`${prefix}.attn.proj.bias`),
        norm2: arena.tensor(`${prefix}.norm2.weight`),
        gateUpWeight: joined('weight'),
        gateUpBias: joined('bias'),
        downWeight: arena.tensor(`${prefix}.mlp.down_proj.weight`),
        downBias: arena.tensor(`${prefix}.mlp.down_proj.bias`),
      };
    }),
    merger: {
      norm: arena.tensor('visual.merger.ln_q.weight'),
      fc1Weight: arena.tensor('visual.merger.mlp.0.weight'),
      fc1Bias: arena.tensor('visual.merger.mlp.0.bias'),
      fc2Weight: arena.tensor('visual.merger.mlp.2.weight'),
      fc2Bias: arena.tensor('visual.merger.mlp.2.bias'),
    },
  };
}
