/** A model's sizes as plain data, free of Hugging Face names. */
import type { RopeScaling } from './rope-scaling.ts';

/** The text decoder's sizes. */
export interface TextConfig {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Inner width of an MLP; experts have their own. */
  readonly intermediateSize: number;
  /** Null for a dense model. */
  readonly experts: ExpertsConfig | null;
  readonly vocabSize: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Change to the rotary frequencies for contexts longer than those of the first training; null for none. */
  readonly ropeScaling: RopeScaling | null;
  /** Numbers of rotary frequencies that turn by time, height and width. Null without vision. */
  readonly mropeSection: readonly [number, number, number] | null;
  /**
   * Order of these frequencies. With `sections`, time comes first, then height, then width, and they sum to headDim / 2.
   * With `interleaved`, the three take turns until height and width are used up, and the rest are of time.
   */
  readonly mropeLayout: 'sections' | 'interleaved';
  /** Tells whether the projections of queries, keys and values have a bias. */
  readonly qkvBias: boolean;
  /** Tells whether the query and the key of each head are normed before they are rotated. */
  readonly qkNorm: boolean;
  readonly tieWordEmbeddings: boolean;
}

/** Sizes of the mixtures of experts that stand in place of MLPs. */
export interface ExpertsConfig {
  /**
   * Tells whether the weights of a layer's experts are one tensor, `[E, in, out]`, with gate and up joined; else each
   * expert has its own, `[out, in]`.
   */
  readonly isStacked: boolean;
  /** Number of experts of a layer. */
  readonly count: number;
  /** Number of experts that a token goes to. */
  readonly perToken: number;
  /** Inner width of an expert. */
  readonly intermediateSize: number;
  /** Tells whether the weights of a token's experts are divided by their sum. */
  readonly isRenormed: boolean;
  /** Layers that have an MLP in place of experts. */
  readonly denseLayers: readonly number[];
}

/** The vision tower's sizes. */
export interface VisionConfig {
  readonly depth: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly inChannels: number;
  /** Side of a patch, pixels. */
  readonly patchSize: number;
  /** Frames in a patch. */
  readonly temporalPatchSize: number;
  /** Side of the square of patches merged into one token, patches. */
  readonly mergeSize: number;
  /**
   * Windows that blocks attend within: their side in pixels, and the blocks that attend to whole frames instead.
   * Null if all blocks attend to whole frames.
   */
  readonly windows: { readonly size: number; readonly fullBlocks: readonly number[] } | null;
  /** Activation of the blocks' MLPs; SiLU is of gated ones. */
  readonly activation: 'silu' | 'quickGelu' | 'geluTanh';
  /** Side of the grid of learned positions that are added to patches; null for none. */
  readonly positionGrid: number | null;
  /** Blocks whose output joins the decoder's first layers, one layer each (DeepStack). */
  readonly deepstackBlocks: readonly number[];
  /** Width of the merger's output: the decoder's hidden size. */
  readonly outHiddenSize: number;
  /** Temporal positions per second of a video; null where positions count frames. */
  readonly tokensPerSecond: number | null;
}

/** Ids of the tokens that stand for images and videos. */
interface VisionTokens {
  readonly imagePad: number;
  readonly videoPad: number;
  readonly visionStart: number;
  readonly visionEnd: number;
}

/** A model's family, its sizes, and the tokens that stand for pictures. */
export interface ModelConfig {
  /** Name of the family in `architectures` of `config.json`. */
  readonly architecture: string;
  readonly text: TextConfig;
  readonly vision: VisionConfig | null;
  readonly tokens: VisionTokens | null;
  /** Dtype of the weights that the file states, such as `bfloat16`; the tensors' own dtypes decide. */
  readonly torchDtype: string | null;
}

/** Tokens that stand for pictures of a prompt, which a response must not hold. */
export function pictureTokens({ tokens }: ModelConfig): readonly number[] {
  return tokens === null ? [] : [tokens.imagePad, tokens.videoPad];
}

/** The config of a model whose head is tied to the embedding, or of one whose head has weights of its own. */
export function withTies(config: ModelConfig, tieWordEmbeddings: boolean): ModelConfig {
  return { ...config, text: { ...config.text, tieWordEmbeddings } };
}
