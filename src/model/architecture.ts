import type { Graph } from '../graph/ir.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { GraphAdapters } from './adapters/adapter.ts';
import type { Grid } from './batch.ts';
import type { GraphForm } from './graph-form.ts';
import type { JsonObject } from './checkpoint/companions.ts';
import type { DecodeForm } from './decode-form.ts';
import type { ModelBlocks } from './weights/model-blocks.ts';
import type { ModelConfig, TextConfig, VisionConfig } from './model-config.ts';
import type { RotaryTable } from './rotary.ts';

/** A model family: what the engine asks of one, and all that differs between two. */
export interface Architecture {
  /** A policy's name in `architectures` of `config.json`. */
  readonly name: string;
  /** A value model's name there. */
  readonly valueName: string;
  readonly config: ConfigFormat;
  readonly weights: WeightNames;
  readonly decoder: DecoderGraphs;
  /** Null for a family without vision. */
  readonly vision: VisionGraphs | null;
  /**
   * Rotary positions of a prompt's tokens, i32 `[3, T]`.
   *
   * @throws DATA_INVALID when placeholders and grids do not fit each other
   */
  readonly positions: (
    config: ModelConfig,
    tokenIds: ArrayLike<number>,
    media: PromptMedia,
  ) => Tensor<'i32'>;
}

/** The images or videos of a prompt, in patches. */
export interface PromptMedia {
  readonly grids: readonly Grid[];
  /** Seconds per temporal patch of each, where they are videos; null where they are images. */
  readonly secondsPerGrid: readonly number[] | null;
}

/** How a family's `config.json` is read and written. */
export interface ConfigFormat {
  /**
   * The model that the file describes.
   *
   * @throws CHECKPOINT_INVALID naming file and fields
   */
  readonly decode: (value: unknown, file: string) => ModelConfig;
  /** Paths that `decode` looks at, the text model's keys at the top or in a section of their own. */
  readonly readPaths: (isNested: boolean) => readonly string[];
  /** The same file, such that transformers 4 and 5 read it as the same model. */
  readonly inBothLayouts: (file: JsonObject, config: ModelConfig) => JsonObject;
}

/** What a model ends in: log-probabilities of tokens, or values. */
export type HeadKind = 'policy' | 'value';

/** A family's parameters by their names on the hub. */
export interface WeightNames {
  readonly embedding: string;
  readonly head: string;
  readonly scoreWeight: string;
  readonly scoreBias: string;
  /** What every name in the vision tower has in it, and no other. */
  readonly vision: string;
  readonly blocks: (config: ModelConfig, head: HeadKind) => ModelBlocks;
  /** The hub's name of a tensor that a checkpoint stores under any name that transformers has had for it. */
  readonly ofStored: (stored: string, config: ModelConfig) => string;
  /** The name that transformers 5 gives a module, or its tensor, by the hub's. */
  readonly inTransformers: (name: string, config: ModelConfig) => string;
}

/**
 * The graphs of a decoder layer. Each takes `hidden` and the layer's parameters, and gives `output` like `hidden`;
 * hidden rows, weights, adapters and caches are of the given dtype, f32 when left out. With a form to choose, it is
 * `composed` when left out.
 */
export interface DecoderGraphs {
  /** Over packed tokens `[T, D]`, with rotary tables and segments. */
  readonly layer: (
    text: TextConfig,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
    form?: GraphForm,
  ) => Graph;
  /** The same, and `key` and `value [T, K, d]`; of the last layer only the rows that `lastRows i64 [P]` names. */
  readonly prefillLayer: (
    text: TextConfig,
    isLast: boolean,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
    form?: GraphForm,
  ) => Graph;
  /** One token of each of `B` sequences, with caches `keys` and `values [B, K, C, d]` and what comes next in them. */
  readonly decodeStep: (
    text: TextConfig,
    capacity: number,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
  ) => Graph;
  /**
   * The same over a cache in pages of `pageRows`, for devices with kernels: `keys` and `values [N, R, K, d]`, `pages i32
   * [B, M]`, `lengths i32 [B]`.
   */
  readonly pagedStep: (
    text: TextConfig,
    pageRows: number,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
  ) => Graph;
  /** The same as far as `projected [B, (H + 2K)·d]`: queries, keys and values, not rotated. */
  readonly decodeProject: DecodeGraph;
  /** The same from attention on: over `query [B·K, H/K, d + 1]` and a cache of `keys` and `values`. */
  readonly decodeAttend: DecodeGraph;
}

/** The graph of a part of a decoding step, in a form. */
export type DecodeGraph = (
  text: TextConfig,
  form: DecodeForm,
  adapters?: GraphAdapters,
  dtype?: FloatDType,
) => Graph;

/** The graphs of a vision tower: patches `[T, C·Pt·P·P]` to `hidden [T, D]`, blocks, and a merger to `embeddings`. */
export interface VisionGraphs {
  readonly patchEmbed: (vision: VisionConfig, dtype?: FloatDType) => Graph;
  readonly block: (
    vision: VisionConfig,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
    form?: GraphForm,
  ) => Graph;
  readonly merger: (vision: VisionConfig, adapters?: GraphAdapters, dtype?: FloatDType) => Graph;
  readonly plan: (vision: VisionConfig, grids: readonly Grid[]) => VisionPlan;
}

/** What the blocks of a vision pass take besides hidden rows and weights. */
export interface VisionPlan {
  /** One row per patch. */
  readonly rotary: RotaryTable;
  /** Rows that attend to each other, in every block; blocks that attend alike share one value. */
  readonly segments: readonly number[][][];
}
