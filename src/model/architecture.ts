/** The interface of model families, which each family's folder implements. */
import type { Module, Modules } from './weights/modules.ts';
import type { ModelConfig } from './model-config.ts';
import type { TowerTraits } from './vision/tower-weights.ts';

/** A model family: everything that differs between two families. */
export interface Architecture {
  /** A policy's name in `architectures` of `config.json`. */
  readonly name: string;
  readonly config: ConfigFormat;
  readonly weights: WeightNames;
  /** Null for a family without vision. */
  readonly tower: TowerTraits | null;
  /** Places of a video's frames in the text: one after the other, or apart, each after the time it was at. */
  readonly frames: 'joined' | 'apart';
}

/** Reader and writer of a family's `config.json`. */
export interface ConfigFormat {
  /**
   * Decodes the model that the file describes.
   *
   * @throws CHECKPOINT_INVALID naming file and fields
   */
  readonly decode: (value: unknown, file: string) => Omit<ModelConfig, 'architecture'>;
  /** Paths that `decode` reads, with the text model's keys at the top or in a section of their own. */
  readonly readPaths: (isNested: boolean) => readonly string[];
}

/**
 * A value model's name in `architectures`. Transformers has no token classifier of a vision-language model; the name
 * follows its pattern.
 */
export function valueNameOf({ name }: Architecture): string {
  return name.replace(/For(CausalLM|ConditionalGeneration)$/, 'ForTokenClassification');
}

/** Head of a model: log-probabilities of tokens, or values. */
export type HeadKind = 'policy' | 'value';

/** A family's parameters by their names on the hub. */
export interface WeightNames {
  readonly embedding: string;
  /** The modules of a model with a head, in arena order. */
  readonly modules: (config: ModelConfig, head: HeadKind) => Modules<Module>;
  /** The hub's name of a stored tensor, from any name that transformers has had for it. */
  readonly ofStored: (stored: string, config: ModelConfig) => string;
  /** The name in transformers 5 of a module or tensor, from the hub's name. */
  readonly inTransformers: (name: string) => string;
}
