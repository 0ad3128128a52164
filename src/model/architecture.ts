import type { Graph } from '../graph/ir.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import type { Tensor, Tensors } from '../tensor/tensor.ts';
import type { GraphAdapters } from './adapters/adapter.ts';
import type { Grid } from './batch.ts';
import type { GraphForm } from './graph-form.ts';
import type { JsonObject } from './checkpoint/companions.ts';
import type { DecodeForm } from './decode-form.ts';
import type { Module, Modules } from './weights/modules.ts';
import type { ModelConfig, TextConfig, VisionConfig } from './model-config.ts';
import type { RotaryTable } from './rotary.ts';

/** A model family: everything that differs between two families. */
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
  /** Places of a video's frames in the text: one behind the other, or apart, each behind the time it was at. */
  readonly frames: 'joined' | 'apart';
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

/** Reader and writer of a family's `config.json`. */
export interface ConfigFormat {
  /**
   * Decodes the model that the file describes.
   *
   * @throws CHECKPOINT_INVALID naming file and fields
   */
  readonly decode: (value: unknown, file: string) => ModelConfig;
  /** Paths that `decode` reads, with the text model's keys at the top or in a section of their own. */
  readonly readPaths: (isNested: boolean) => readonly string[];
  /** Extends the file so that transformers 4 and 5 read it as the same model. */
  readonly inBothLayouts: (file: JsonObject, config: ModelConfig) => JsonObject;
}

/** Head of a model: log-probabilities of tokens, or values. */
export type HeadKind = 'policy' | 'value';

/** A family's parameters by their names on the hub. */
export interface WeightNames {
  readonly embedding: string;
  readonly head: string;
  readonly scoreWeight: string;
  readonly scoreBias: string;
  /** Part of every name in the vision tower, and of no other. */
  readonly vision: string;
  /** The modules of a model with a head, in arena order. */
  readonly modules: (config: ModelConfig, head: HeadKind) => Modules<Module>;
  /** The hub's name of a stored tensor, from any name that transformers has had for it. */
  readonly ofStored: (stored: string, config: ModelConfig) => string;
  /** The name in transformers 5 of a module or tensor, from the hub's name. */
  readonly inTransformers: (name: string, config: ModelConfig) => string;
}

/**
 * The graphs of a decoder layer. Each takes `hidden` and the layer's parameters, and gives `output`, shaped like
 * `hidden`.
 *
 * Hidden rows, weights, adapters and caches have the given dtype, f32 when left out. The form is `composed` when left
 * out.
 */
export interface DecoderGraphs {
  /** The layer over packed tokens `[T, D]`, with rotary tables and segments. */
  readonly layer: (
    text: TextConfig,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
    form?: GraphForm,
  ) => Graph;
  /** The layer with outputs `key` and `value [T, K, d]`; the last layer computes the rows `lastRows i64 [P]` only. */
  readonly prefillLayer: (
    text: TextConfig,
    isLast: boolean,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
    form?: GraphForm,
  ) => Graph;
  /**
   * The layer for one token of each of `B` sequences, over caches `keys` and `values [B, K, C, d]`, which it extends.
   */
  readonly decodeStep: (
    text: TextConfig,
    capacity: number,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
  ) => Graph;
  /**
   * The layer for one token of each of `B` sequences, over a cache in pages of `pageRows`, for devices with kernels:
   * `keys` and `values [N, R, K, d]`, `pages i32 [B, M]`, `lengths i32 [B]`. It takes its rows `normed` already, and
   * every layer but the last norms them for the next.
   */
  readonly pagedStep: (
    text: TextConfig,
    pageRows: number,
    isLast: boolean,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
  ) => Graph;
  /** The first part of a decoding layer: `projected [B, (H + 2K)·d]`, queries, keys and values before rotation. */
  readonly decodeProject: DecodeGraph;
  /** The rest of a decoding layer: attention of `query [B·K, H/K, d + 1]` over `keys` and `values`, and the MLP. */
  readonly decodeAttend: DecodeGraph;
}

/** Graph of a part of a decoding step, in a form. */
export type DecodeGraph = (
  text: TextConfig,
  form: DecodeForm,
  adapters?: GraphAdapters,
  dtype?: FloatDType,
) => Graph;

/**
 * The graphs of a vision tower: from patches `[T, C·Pt·P·P]` to `hidden [T, D]`, blocks, and a merger to `embeddings`.
 */
export interface VisionGraphs {
  readonly patchEmbed: (vision: VisionConfig, dtype?: FloatDType) => Graph;
  readonly block: (
    vision: VisionConfig,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
    form?: GraphForm,
  ) => Graph;
  readonly merger: (vision: VisionConfig, adapters?: GraphAdapters, dtype?: FloatDType) => Graph;
  /**
   * A merger behind one of `deepstackBlocks`: `hidden` to `features`, rows for a layer of the decoder, and `output`,
   * which is `hidden`. Left out where no tower has any.
   */
  readonly deepstack?: (
    vision: VisionConfig,
    adapters?: GraphAdapters,
    dtype?: FloatDType,
  ) => Graph;
  readonly plan: (vision: VisionConfig, grids: readonly Grid[]) => VisionPlan;
}

/** Inputs of a vision pass besides patches, hidden rows and weights. */
export interface VisionPlan {
  /** Inputs of the patch embedding; none when left out. */
  readonly patchInputs?: Tensors;
  /** Rotary angles, one row per patch. */
  readonly rotary: RotaryTable;
  /** Groups of rows that attend to each other, for every block; blocks with like attention share one value. */
  readonly segments: readonly number[][][];
}
